"""What a stored volume is: its OME-Zarr metadata and arrays, as a VolumeInfo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import zarr

from volproc.errors import VolumeError
from volproc.grid.box import Shape, each
from volproc.grid.scale import VoxelNm, parse_voxel_nm
from volproc.volume.access import exists, first_line, reading
from volproc.volume.metadata import Kind, Level, VolumeInfo
from volproc.volume.ome import multiscale_of, scale_and_translation, spatial_axes


def read_info(url: str, *, voxel_nm: Sequence[float] | None = None) -> VolumeInfo:
    """Metadata of the volume at `url`, finished or not."""
    group = _open_group(url)
    attributes = attributes_of(group)
    multiscale = multiscale_of(attributes, url=url)
    if voxel_nm is not None:
        multiscale = _with_voxel_size(multiscale, parse_voxel_nm(voxel_nm), group)
    leading, nm = spatial_axes(multiscale, url=url)
    names = [axis["name"] for axis in multiscale["axes"]]
    arrays, levels = [], []
    for dataset in multiscale["datasets"]:
        voxel, offset = scale_and_translation(dataset, multiscale, leading=leading, nm=nm, url=url)
        array = array_of(group, dataset["path"], url)
        arrays.append(array)
        levels.append(_level(dataset["path"], array, voxel, offset))
    channels: tuple[str, ...] = ()
    if "c" in names:
        channels = _channel_names(attributes, count=arrays[0].shape[names.index("c")])
    kind: Kind = "labels" if "image-label" in attributes.get("ome", attributes) else "image"
    made_by = attributes.get("volproc", {})
    return VolumeInfo(url, kind, str(arrays[0].dtype), tuple(levels), channels, made_by)


def _open_group(url: str) -> zarr.Group:
    if not exists(url):
        raise VolumeError(f"{url} does not exist; expected an OME-Zarr volume (a folder NAME.zarr)")
    try:
        return zarr.open_group(url, mode="r")
    except Exception as error:
        raise VolumeError(
            f"{url} is not an OME-Zarr volume ({first_line(error)}); "
            "convert it with `volproc ingest SOURCE OUT.zarr`"
        ) from error


def array_of(group: zarr.Group, path: str, url: str) -> zarr.Array[Any]:
    """The array of a level; VolumeError if there is none at `path`."""
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
    multiscale: dict[str, Any], voxel_nm: VoxelNm, group: zarr.Group
) -> dict[str, Any]:
    """The multiscale with its finest voxel size replaced; coarser levels follow from the shapes."""
    paths = [dataset["path"] for dataset in multiscale["datasets"]]
    finest = array_of(group, paths[0], group.name).shape
    axes = [
        {**axis, "unit": "nanometer"} if axis["name"] in "zyx" else axis
        for axis in multiscale["axes"]
    ]
    datasets = []
    for path in paths:
        shape = array_of(group, path, group.name).shape[-3:]
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
