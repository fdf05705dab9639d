"""What a stored volume is: its OME-Zarr metadata and arrays, as a VolumeInfo."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from itertools import count, takewhile
from math import prod
from typing import Any

import numpy as np
import zarr

from volproc import faults
from volproc.errors import VolumeError
from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm
from volproc.volume.access import exists, first_line, reading, refuse_unreachable
from volproc.volume.metadata import Kind, Level, VolumeInfo
from volproc.volume.ome import multiscale_of, multiscales_of, paths_of, sizes_and_offsets
from volproc.volume.placement import placed_levels, with_numbers
from volproc.volume.retrying_store import for_zarr

_Arrays = dict[str, zarr.Array[Any]]
HUGE_CHUNK = 2**30
"""Bytes."""


def read_info(url: str, *, voxel_nm: Sequence[float] | None = None, level: str = "") -> VolumeInfo:
    """Metadata of the volume at `url`, finished or not; of the only image of a bioformats2raw one.

    Levels go from the largest to the smallest, however they are listed. If a `level` is named,
    others may be absent. VolumeError, one line, for what is no volume: a plate, several images,
    time, two dimensions.
    """
    with understanding(url):
        url, by_path, attributes, multiscale = _multiscale(url, level)
        names = [axis["name"] for axis in multiscale["axes"]]
        paths = paths_of(multiscale)
        arrays = [by_path[path] for path in paths]
        shapes = [array.shape[-3:] for array in arrays]
        placed = placed_levels(multiscale, shapes, url=url, voxel_nm=voxel_nm)
        levels = [
            _level(path, array, *where)
            for path, array, where in zip(paths, arrays, placed, strict=True)
        ]
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
            kind=_kind(url, ome),
            dtype=str(np.dtype(finest.dtype).newbyteorder("=")),
            levels=tuple(levels),
            channels=channels,
            provenance=attributes.get("volproc", {}),
            version="0.5" if "ome" in attributes else "0.4",
        )


@dataclass(frozen=True)
class OneLevel:
    """An array of an OME-Zarr with its axes' names, in whatever order, and what is stated of them.

    `stated` has voxel size in nm (None: not stated) and offset in nm (then in voxels) by axis.
    """

    url: str
    kind: Kind
    names: tuple[str, ...]
    stated: dict[str, tuple[float | None, float]]


def read_level(url: str, level: str = "") -> OneLevel:
    """The level of this path, or the finest one; VolumeError as of `read_info`."""
    with understanding(url):
        url, _, attributes, multiscale = _multiscale(url, level)
        dataset = multiscale["datasets"][0]
        return OneLevel(
            url=f"{url}/{dataset['path']}",
            kind=_kind(url, attributes.get("ome", attributes)),
            names=tuple(axis["name"] for axis in multiscale["axes"]),
            stated=sizes_and_offsets(dataset, multiscale, url=url),
        )


def _multiscale(url: str, level: str) -> tuple[str, _Arrays, dict[str, Any], dict[str, Any]]:
    """URL, arrays and attributes of an image, and its multiscale, the largest level first."""
    url, group = _image_group(url)
    attributes = attributes_of(group)
    multiscale = multiscale_of(attributes, url=url, level=level)
    stated = [one for one in multiscale["datasets"] if not level or str(one["path"]) == level]
    arrays = {path: array_of(group, path, url) for path in (str(one["path"]) for one in stated)}
    datasets = sorted(stated, key=lambda one: -prod(arrays[str(one["path"])].shape))
    multiscale["datasets"] = [with_numbers(dataset, group) for dataset in datasets]
    return url, arrays, attributes, multiscale


def _kind(url: str, ome: dict[str, Any]) -> Kind:
    """Labels if they are marked as such, or listed by the labels group that they are in."""
    outer, inside, name = url.rstrip("/").rpartition("/labels/")
    listed: Any = ()
    if inside and "image-label" not in ome:
        try:
            around = attributes_of(zarr.open_group(for_zarr(f"{outer}/labels"), mode="r"))
        except Exception:  # a folder that happens to be called labels
            around = {}
        listed = around.get("ome", around).get("labels")
    return "labels" if "image-label" in ome or name in (listed or ()) else "image"


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


def understanding(url: str) -> AbstractContextManager[None]:
    """Whatever Python raises for metadata of an unexpected form becomes a VolumeError."""
    line = f"{url} has metadata that are not OME-Zarr's ({{}}); convert it with `volproc ingest "
    return faults.understanding(VolumeError, f"{line}SOURCE OUT.zarr`")


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
        return _newest_group(url)
    except Exception as error:
        refuse_unreachable(url, error)
        # asked only now: web servers know files, not the folders that they are in
        if not exists(url):
            raise VolumeError(
                f"{url} does not exist; expected an OME-Zarr volume (a folder NAME.zarr)"
            ) from error
        raise VolumeError(
            f"{url} is not an OME-Zarr volume ({first_line(error)}); "
            "convert it with `volproc ingest SOURCE OUT.zarr`"
        ) from error


def _newest_group(url: str) -> zarr.Group:
    """Of Zarr 3 where it is: without being told zarr asks for four files of either version."""
    with suppress(Exception):
        return zarr.open_group(for_zarr(url), mode="r", zarr_format=3)
    return zarr.open_group(for_zarr(url), mode="r")


def array_of(group: zarr.Group, path: str, url: str) -> zarr.Array[Any]:
    """The array of a level; VolumeError if there is none at `path`."""
    with reading(f"{url} level {path}"):
        array = _member(group, path)
    if array is None:
        raise VolumeError(
            f"{url} lists level {path}, but there is no such array: copy it again, or ingest a "
            f"level that is there ({url}/LEVEL)"
        )
    if not isinstance(array, zarr.Array):
        raise VolumeError(f"{url} level {path} is a group; expected an array")
    refuse_unbelievable_chunks(array, f"{url} level {path}")
    return array


def _member(group: zarr.Group, path: str) -> zarr.Array[Any] | zarr.Group | None:
    try:
        return group[path]
    except KeyError as error:
        if not isinstance(error.__cause__, FileNotFoundError | KeyError):
            raise
        return None


def refuse_unbelievable_chunks(array: zarr.Array[Any], what: str) -> None:
    """VolumeError for chunks of gigabytes in a far smaller array: they would be allocated whole."""
    chunk = max(prod(array.chunks), prod(array.shards or ()))
    if chunk * array.dtype.itemsize > HUGE_CHUNK and chunk > 8 * prod(array.shape):
        raise VolumeError(
            f"{what} has chunks of {array.chunks} in an array of {array.shape}; its metadata is "
            "damaged: copy it again"
        )


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


def _channel_names(attributes: dict[str, Any], *, count: int) -> tuple[str, ...]:
    listed = attributes.get("ome", attributes).get("omero", {}).get("channels", [])
    names = [str(channel.get("label", index)) for index, channel in enumerate(listed)]
    if count == 1:  # an axis of length 1 is left out when reading
        return ()
    return tuple(names) if len(names) == count else tuple(map(str, range(count)))


def attributes_of(group: zarr.Group) -> dict[str, Any]:
    """A group's attributes as a plain dict."""
    return dict(group.attrs)
