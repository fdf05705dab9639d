"""Reading and writing boxes of voxels in OME-Zarr, locally or at any fsspec URL.

zarr is imported in this part only. What zarr or the file system raises becomes a VolumeError here.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import ZstdCodec

from volproc.errors import GridError, VolumeError
from volproc.grid.box import Box, Shape, each
from volproc.grid.scale import VoxelNm, parse_voxel_nm
from volproc.volume.metadata import (
    Kind,
    Level,
    VolumeInfo,
    multiscale_of,
    scale_and_translation,
    spatial_axes,
    to_ome,
)

if TYPE_CHECKING:
    from zarr.core.array_spec import ArrayConfigParams


@dataclass(frozen=True)
class Volume:
    """An OME-Zarr volume, open for boxes of voxels. Pickles as its metadata.

    Reading takes any box inside a level. Writing takes whole shards only: two tasks that wrote
    parts of one shard would lose voxels without an error.
    """

    info: VolumeInfo

    def __getstate__(self) -> dict[str, Any]:
        return {"info": self.info}

    def read(self, box: Box, level: int = 0) -> npt.NDArray[Any]:
        """Voxels of `box`, shape (z, y, x), or (c, z, y, x) where there is a channel axis."""
        here = self.info.levels[level]
        if not here.box.contains(box):
            raise GridError(
                f"{self.info.url} level {level} has {here.shape} voxels; {box} is outside"
            )
        with reading(f"{self.info.url} level {level}, voxels {box}"):
            array = self._arrays[level]
            leading = (0,) * (array.ndim - 3 - bool(self.info.channels))
            return np.asarray(array[(*leading, Ellipsis, *box.slices)])

    def write(self, box: Box, values: npt.NDArray[Any], level: int = 0) -> None:
        """Store `values` at `box`; GridError unless the box consists of whole shards."""
        here = self.info.levels[level]
        if not (here.box.contains(box) and box.aligned_to(here.shards, whole=here.box)):
            raise GridError(
                f"box {box} cuts shards of {here.shards} in {self.info.url} level {level}; "
                "make the block a multiple of the shard"
            )
        with writing(f"{self.info.url} level {level}, voxels {box}"):
            self._arrays[level][(Ellipsis, *box.slices)] = values

    def dask(self, level: int = 0) -> Any:
        """A level as a lazy dask array, one block per shard, for those who go on with dask.

        Read only: write with `write`, which keeps shards whole.
        """
        import dask.array

        array = self._arrays[level]
        return dask.array.from_array(array, chunks=array.shards or array.chunks, name=False)

    def finish(self) -> Volume:
        """Mark the volume complete, after its last voxel: only then others may trust it."""
        return _stamp(self.info.stamped(finished=True))

    @property
    def identity(self) -> str:
        """Digest of the metadata and, for a volume of volproc, of all that it was made from."""
        record = {k: v for k, v in self.info.made_by.items() if k != "finished"}
        described = json.dumps([to_ome(replace(self.info, made_by=record)), self.info.dtype])
        stamp = record.get("digest") or _modified(self.info)
        return hashlib.sha256(f"{described}{stamp}".encode()).hexdigest()[:16]

    @cached_property
    def _arrays(self) -> tuple[Any, ...]:
        # Comparing every chunk with the fill value costs more than encoding it (3.8 to 6.7 times
        # the CPU); labels and masks are mostly empty, and there it saves files.
        config: ArrayConfigParams = {"write_empty_chunks": self.info.kind == "image"}
        group = zarr.open_group(self.info.url, mode="r+" if self.info.made_by else "r")
        arrays = (_array(group, level.path, self.info.url) for level in self.info.levels)
        return tuple(array.with_config(config) for array in arrays)


def open_volume(url: str | Path, *, voxel_nm: Sequence[float] | None = None) -> Volume:
    """The OME-Zarr volume (0.4 or 0.5) at a path or URL; labels as `IMAGE.zarr/labels/NAME`.

    `voxel_nm` replaces the voxel size (z, y, x) of the finest level where the metadata lacks or
    misstates it. VolumeError, one line, if there is no such volume or a run has not finished it.
    """
    info = read_info(str(url), voxel_nm=voxel_nm)
    if info.made_by and not info.made_by.get("finished"):
        raise VolumeError(
            f"{url} is unfinished: the {info.made_by.get('step', 'volproc')} step that writes it "
            "was interrupted; run the same command again to complete it"
        )
    return Volume(info)


def read_info(url: str, *, voxel_nm: Sequence[float] | None = None) -> VolumeInfo:
    """Metadata of the volume at `url`, finished or not."""
    group = _open_group(url)
    attributes = _attributes(group)
    multiscale = multiscale_of(attributes, url=url)
    if voxel_nm is not None:
        multiscale = _with_voxel_size(multiscale, parse_voxel_nm(voxel_nm), group)
    leading, nm = spatial_axes(multiscale, url=url)
    names = [axis["name"] for axis in multiscale["axes"]]
    arrays, levels = [], []
    for dataset in multiscale["datasets"]:
        voxel, offset = scale_and_translation(dataset, multiscale, leading=leading, nm=nm, url=url)
        array = _array(group, dataset["path"], url)
        arrays.append(array)
        levels.append(_level(dataset["path"], array, voxel, offset))
    channels: tuple[str, ...] = ()
    if "c" in names:
        channels = _channel_names(attributes, count=arrays[0].shape[names.index("c")])
    kind: Kind = "labels" if "image-label" in attributes.get("ome", attributes) else "image"
    made_by = attributes.get("volproc", {})
    return VolumeInfo(url, kind, str(arrays[0].dtype), tuple(levels), channels, made_by)


def create_volume(info: VolumeInfo, *, step: str, digest: str, version: str) -> Volume:
    """Make the volume's metadata and empty arrays, or take up the one of the same `digest` again.

    A volume that volproc made from other inputs or options is replaced; anything else at that
    place is refused and left alone.
    """
    info = info.stamped(version=version, step=step, digest=digest, finished=False)
    there = _made_by(info.url)
    if there.get("digest") == digest:
        _remove_partial_files(info.url)
        return Volume(info.stamped(finished=there.get("finished", False)))
    if not there and _occupied(info.url):
        raise VolumeError(
            f"{info.url} exists and was not written by volproc; choose another name or remove it"
        )
    # The digest comes last: killed before it, the volume is made anew.
    begun = to_ome(info.stamped(digest="being created"))
    with writing(info.url):
        if there:
            group = zarr.open_group(info.url, mode="r+")
            group.attrs.put(begun)
        else:
            group = zarr.create_group(info.url, zarr_format=3, attributes=begun)
        for level in info.levels:
            _create_array(group, info, level)
        _register_label(info)
        return _stamp(info)


def is_begun(url: str, *, digest: str) -> bool:
    """Whether the volume of this `digest` was made at `url`, finished or not."""
    return bool(_made_by(url).get("digest") == digest)


def exists(url: str) -> bool:
    """Whether anything is stored at `url`."""
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(url)
    return bool(filesystem.exists(path))


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Whatever zarr, a codec or the file system raises becomes a VolumeError that names `what`."""
    try:
        yield
    except Exception as error:
        raise VolumeError(
            f"cannot read {what}: {_first_line(error)}; "
            "the file may be cut short: write the volume again"
        ) from error


@contextmanager
def writing(what: str) -> Iterator[None]:
    """The same for writing; a full disk is told apart."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise VolumeError(
                f"no space left while writing {what}; free some space and run the same command "
                "again: finished blocks are kept"
            ) from error
        raise VolumeError(f"cannot write {what}: {_first_line(error)}") from error


def _occupied(url: str) -> bool:
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(url)
    return bool(filesystem.exists(path) and (filesystem.isfile(path) or filesystem.ls(path)))


def _create_array(group: zarr.Group, info: VolumeInfo, level: Level) -> None:
    lead: tuple[int, ...] = (len(info.channels),) if info.channels else ()
    group.create_array(
        level.path,
        shape=(*lead, *level.shape),
        dtype=info.dtype,
        chunks=(*(1 for _ in lead), *level.chunks),
        shards=None if level.shards == level.chunks and not lead else (*lead, *level.shards),
        compressors=ZstdCodec(level=1),
        fill_value=0,
        dimension_names=[*("c" for _ in lead), "z", "y", "x"],
        overwrite=True,
    )


def _register_label(info: VolumeInfo) -> None:
    """List a volume at IMAGE.zarr/labels/NAME in its `labels` group, where viewers look for it."""
    parent, _, name = info.url.rstrip("/").rpartition("/")
    if info.kind == "labels" and parent.endswith("/labels"):
        group = zarr.open_group(parent, mode="a", zarr_format=3)
        listed = _attributes(group).get("ome", {}).get("labels", [])
        group.attrs["ome"] = {"version": "0.5", "labels": sorted({*listed, name})}


def _stamp(info: VolumeInfo) -> Volume:
    with writing(info.url):
        zarr.open_group(info.url, mode="r+").attrs.put(to_ome(info))
    return Volume(info)


def _open_group(url: str) -> zarr.Group:
    if not exists(url):
        raise VolumeError(f"{url} does not exist; expected an OME-Zarr volume (a folder NAME.zarr)")
    try:
        return zarr.open_group(url, mode="r")
    except Exception as error:
        raise VolumeError(
            f"{url} is not an OME-Zarr volume ({_first_line(error)}); "
            "convert it with `volproc ingest SOURCE OUT.zarr`"
        ) from error


def _array(group: zarr.Group, path: str, url: str) -> zarr.Array[Any]:
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
    finest = _array(group, paths[0], group.name).shape
    axes = [
        {**axis, "unit": "nanometer"} if axis["name"] in "zyx" else axis
        for axis in multiscale["axes"]
    ]
    datasets = []
    for path in paths:
        shape = _array(group, path, group.name).shape[-3:]
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


def _made_by(url: str) -> dict[str, Any]:
    try:
        return dict(_attributes(zarr.open_group(url, mode="r")).get("volproc", {}))
    except Exception:  # not a group at all: whatever it is, volproc did not write it
        return {}


def _attributes(group: zarr.Group) -> dict[str, Any]:
    return dict(group.attrs)


def _remove_partial_files(url: str) -> None:
    """Files that a killed writer left beside the chunks; harmless, but not part of the volume."""
    if Path(url).is_dir():
        for path in Path(url).rglob("*.partial"):
            path.unlink(missing_ok=True)


def _modified(info: VolumeInfo) -> str:
    """When a local volume of others was last changed, as far as its folders tell."""
    levels = [Path(info.url) / level.path for level in info.levels]
    return str(max((path.stat().st_mtime_ns for path in levels if path.exists()), default=0))


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
