"""Reading and writing boxes of voxels in OME-Zarr, locally or at any fsspec URL.

zarr is imported in this part only. What zarr or the file system raises becomes a VolumeError here.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import ZstdCodec

from volproc.errors import GridError, VolumeError
from volproc.grid.box import Box
from volproc.volume.access import is_occupied, reading, writing
from volproc.volume.describe import array_of, attributes_of, read_info
from volproc.volume.metadata import Level, VolumeInfo
from volproc.volume.ome import to_ome

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
            self._refuse_empty_files(box, here, array)
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

    def _refuse_empty_files(self, box: Box, level: Level, array: Any) -> None:
        """A shard file of 0 bytes, as a crash may leave it, would read as background."""
        ends = zip(box.start, box.stop, level.shards, strict=True)
        along = [range(start // n, -(-stop // n)) for start, stop, n in ends]
        for place in product(*map(range, array.shape[:-3]), *along):
            file = Path(self.info.url) / level.path / array.metadata.encode_chunk_key(place)
            if file.is_file() and file.stat().st_size == 0:
                raise ValueError(f"{file} is empty")

    @cached_property
    def _arrays(self) -> tuple[Any, ...]:
        # Comparing every chunk with the fill value costs more than encoding it (3.8 to 6.7 times
        # the CPU); labels and masks are mostly empty, and there it saves files.
        config: ArrayConfigParams = {"write_empty_chunks": self.info.kind == "image"}
        group = zarr.open_group(self.info.url, mode="r+" if self.info.made_by else "r")
        arrays = (array_of(group, level.path, self.info.url) for level in self.info.levels)
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


def create_volume(info: VolumeInfo, *, step: str, digest: str, version: str) -> Volume:
    """Make the volume's metadata and empty arrays, or take up the one of the same `digest` again.

    A volume that volproc made from other inputs or options is replaced; anything else at that
    place is refused and left alone.
    """
    info = info.stamped(version=version, step=step, digest=digest, finished=False)
    there = record_of(info.url)
    if not there and is_occupied(info.url):
        raise VolumeError(
            f"{info.url} exists and was not written by volproc; choose another name or remove it"
        )
    _remove_partial_files(info.url)
    if there.get("digest") == digest:
        return Volume(info.stamped(finished=there.get("finished", False)))
    # The digest comes last: killed before it, the volume is made anew.
    begun = to_ome(info.stamped(digest="being created"))
    with writing(info.url):
        if there:
            group = zarr.open_group(info.url, mode="r+")
            group.attrs.put(begun)
            for name in set(group.array_keys()) - {level.path for level in info.levels}:
                del group[name]
        else:
            group = zarr.create_group(info.url, zarr_format=3, attributes=begun)
        for level in info.levels:
            _create_array(group, info, level)
        _register_label(info)
        return _stamp(info)


def is_begun(url: str, *, digest: str) -> bool:
    """Whether the volume of this `digest` was made at `url`, finished or not."""
    return bool(record_of(url).get("digest") == digest)


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
        listed = attributes_of(group).get("ome", {}).get("labels", [])
        group.attrs["ome"] = {"version": "0.5", "labels": sorted({*listed, name})}


def _stamp(info: VolumeInfo) -> Volume:
    with writing(info.url):
        zarr.open_group(info.url, mode="r+").attrs.put(to_ome(info))
    return Volume(info)


def record_of(url: str) -> dict[str, Any]:
    """What volproc noted about making the volume at `url`, finished or not; empty if it did not."""
    try:
        return dict(attributes_of(zarr.open_group(url, mode="r")).get("volproc", {}))
    except Exception:  # not a group at all: whatever it is, volproc did not write it
        return {}


def _remove_partial_files(url: str) -> None:
    """Files that a killed writer left beside the chunks; harmless, but not part of the volume."""
    if Path(url).is_dir():
        for path in Path(url).rglob("*.partial"):
            path.unlink(missing_ok=True)


def _modified(info: VolumeInfo) -> str:
    """When a local volume of others was last changed, as its folders tell.

    A chunk that is replaced changes its folder's time; one overwritten in place does not.
    """
    folders = (
        folder for level in info.levels for folder, _, _ in os.walk(f"{info.url}/{level.path}")
    )
    return str(max((os.stat(folder).st_mtime_ns for folder in folders), default=0))
