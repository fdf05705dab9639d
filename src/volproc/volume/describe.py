"""What a stored volume is: its OME-Zarr metadata and arrays, as a VolumeInfo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, takewhile
from math import prod
from typing import Any

import numpy as np
import zarr

from volproc.errors import VolumeError
from volproc.grid.box import Shape, each
from volproc.grid.scale import VoxelNm, parse_voxel_nm
from volproc.volume.access import exists, first_line, reading, refuse_unreachable
from volproc.volume.metadata import Level, VolumeInfo
from volproc.volume.ome import (
    multiscale_of,
    multiscales_of,
    paths_of,
    refuse_backwards,
    scale_and_translation,
    spatial_axes,
)
from volproc.volume.patient import for_zarr


def read_info(url: str, *, voxel_nm: Sequence[float] | None = None, level: str = "") -> VolumeInfo:
    """Metadata of the volume at `url`, finished or not; of the only image of a bioformats2raw one.

    Levels go from the largest to the smallest, however they are listed. A `level` that is named is
    all there is: others may be absent. VolumeError, one line, for what is no volume: a plate,
    several images, time, two dimensions.
    """
    with understanding(url):
        url, group = _image_group(url)
        attributes = attributes_of(group)
        multiscale = multiscale_of(attributes, url=url, level=level)
        multiscale["datasets"] = _largest_first(multiscale["datasets"], group, url, only=level)
        if voxel_nm is not None:
            multiscale = _with_voxel_size(multiscale, parse_voxel_nm(voxel_nm), group, url)
        leading, nm = spatial_axes(multiscale, url=url)
        names = [axis["name"] for axis in multiscale["axes"]]
        arrays, levels = [], []
        for dataset in multiscale["datasets"]:
            voxel, offset = scale_and_translation(
                dataset, multiscale, leading=leading, nm=nm, url=url
            )
            array = array_of(group, dataset["path"], url)
            arrays.append(array)
            levels.append(_level(dataset["path"], array, voxel, offset))
        finest = arrays[0]
        if "t" in names and finest.shape[names.index("t")] > 1:
            count = finest.shape[names.index("t")]
            raise VolumeError(f"{url} has {count} time points; volproc reads volumes of one")
        channels: tuple[str, ...] = ()
        if "c" in names:
            channels = _channel_names(attributes, count=finest.shape[names.index("c")])
        ome = attributes.get("ome", attributes)
        return VolumeInfo(
            url=url,
            kind="labels" if "image-label" in ome else "image",
            dtype=str(np.dtype(finest.dtype).newbyteorder("=")),
            levels=tuple(levels),
            channels=channels,
            made_by=attributes.get("volproc", {}),
            version="0.5" if "ome" in attributes else "0.4",
        )


def listed_levels(url: str) -> list[str]:
    """Paths of all levels that the group at `url` lists; none where no such group is there."""
    try:
        attributes = attributes_of(zarr.open_group(for_zarr(url), mode="r"))
    except Exception:  # whatever it is, zarr cannot make a group of it
        return []
    with understanding(url):
        if "multiscales" not in attributes.get("ome", attributes):
            return []
        every = multiscales_of(attributes, url=url)
        return [path for one in every for path in paths_of(one)]


@contextmanager
def understanding(url: str) -> Iterator[None]:
    """What metadata of an unexpected form makes Python raise becomes a VolumeError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise VolumeError(
            f"{url} has metadata that are not OME-Zarr's ({type(error).__name__}: "
            f"{first_line(error)}); convert it with `volproc ingest SOURCE OUT.zarr`"
        ) from error


def _image_group(url: str) -> tuple[str, zarr.Group]:
    """The group of the image at `url`: itself, or the only one of a bioformats2raw layout."""
    group = _open_group(url)
    attributes = attributes_of(group)
    ome = attributes.get("ome", attributes)
    if "plate" in ome or "well" in ome:
        inner = "FIELD, such as 0" if "well" in ome else "ROW/COLUMN/FIELD, such as A/1/0"
        raise VolumeError(f"{url} is a plate of many images; name one of them: {url}/{inner}")
    if "multiscales" in ome:
        return url, group
    if isinstance(ome.get("labels"), list):
        names = ", ".join(f"{url}/{name}" for name in ome["labels"])
        raise VolumeError(f"{url} only lists labels; name one of them: {names or 'it is empty'}")
    if "bioformats2raw.layout" not in ome:
        return url, group
    images = [f"{url.rstrip('/')}/{name}" for name in _series(group)]
    if len(images) != 1:
        raise VolumeError(
            f"{url} holds {len(images)} images, expected one; "
            f"name it: {', '.join(images) or 'there is none'}"
        )
    return images[0], _open_group(images[0])


def _series(group: zarr.Group) -> list[str]:
    """Images of a bioformats2raw layout: those its OME group lists, else groups 0, 1, 2, ..."""
    described: dict[str, Any] = dict(group["OME"].attrs) if "OME" in group else {}
    listed = described.get("ome", described).get("series")
    if isinstance(listed, list):
        return list(map(str, listed))
    return list(takewhile(lambda name: name in group, map(str, count())))


def _open_group(url: str) -> zarr.Group:
    try:
        return zarr.open_group(for_zarr(url), mode="r")
    except Exception as error:
        refuse_unreachable(url, error)
        # asked only now: web servers know of files, not of the folders they lie in
        if not exists(url):
            raise VolumeError(
                f"{url} does not exist; expected an OME-Zarr volume (a folder NAME.zarr)"
            ) from error
        raise VolumeError(
            f"{url} is not an OME-Zarr volume ({first_line(error)}); "
            "convert it with `volproc ingest SOURCE OUT.zarr`"
        ) from error


def _largest_first(
    datasets: list[dict[str, Any]], group: zarr.Group, url: str, *, only: str
) -> list[dict[str, Any]]:
    chosen = [dataset for dataset in datasets if not only or str(dataset["path"]) == only]
    return sorted(chosen, key=lambda one: -prod(array_of(group, one["path"], url).shape))


def array_of(group: zarr.Group, path: str, url: str) -> zarr.Array[Any]:
    """The array of a level; VolumeError if there is none at `path`."""
    with reading(f"{url} level {path}"):
        there = path in group
    if not there:
        raise VolumeError(
            f"{url} lists level {path}, but there is no such array: copy it again, or ingest a "
            f"level that is there ({url}/LEVEL)"
        )
    with reading(f"{url} level {path}"):
        array = group[path]
    if not isinstance(array, zarr.Array):
        raise VolumeError(f"{url} level {path} is a group; expected an array")
    return array


def _level(
    path: str, array: zarr.Array[Any], voxel: VoxelNm, offset: tuple[float, float, float]
) -> Level:
    def space(values: Sequence[int]) -> Shape:
        z, y, x = values[-3:]
        return z, y, x

    return Level(
        path=path,
        shape=space(array.shape),
        chunks=space(array.chunks),
        shards=space(array.shards or array.chunks),
        voxel_nm=voxel,
        translation_nm=offset,
    )


def _with_voxel_size(
    multiscale: dict[str, Any], voxel_nm: VoxelNm, group: zarr.Group, url: str
) -> dict[str, Any]:
    """The multiscale with its finest voxel size replaced; coarser levels follow from the shapes."""
    for dataset in multiscale["datasets"]:
        refuse_backwards(dataset, multiscale, url=url)
    paths = [dataset["path"] for dataset in multiscale["datasets"]]
    finest = array_of(group, paths[0], url).shape
    axes = [
        {**axis, "unit": "nanometer"} if axis["name"] in "zyx" else axis
        for axis in multiscale["axes"]
    ]
    datasets = []
    for path in paths:
        shape = array_of(group, path, url).shape[-3:]
        ratio = each(lambda n, m: max(1, round(n / m)), finest[-3:], shape)
        scale = [1.0] * (len(axes) - 3) + [v * r for v, r in zip(voxel_nm, ratio, strict=True)]
        datasets.append(
            {"path": path, "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        )
    return {"axes": axes, "datasets": datasets}


def _channel_names(attributes: dict[str, Any], *, count: int) -> tuple[str, ...]:
    listed = attributes.get("ome", attributes).get("omero", {}).get("channels", [])
    names = [str(channel.get("label", index)) for index, channel in enumerate(listed)]
    if count == 1:  # an axis of length 1 is left out when reading
        return ()
    return tuple(names) if len(names) == count else tuple(map(str, range(count)))


def attributes_of(group: zarr.Group) -> dict[str, Any]:
    """A group's attributes as a plain dict."""
    return dict(group.attrs)
