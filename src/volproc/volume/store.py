"""Reading and writing boxes of voxels in OME-Zarr, locally or at any fsspec URL.

zarr is imported in this part only. What zarr or the file system raises becomes a VolumeError here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import zarr

from volproc import lease
from volproc.credentials import without_secrets
from volproc.errors import GridError, VolumeError
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Box, each
from volproc.volume.access import (
    canonical,
    is_occupied,
    local_path,
    reading,
    writing,
)
from volproc.volume.array_protocol import (
    ArrayProtocol,
    Selection,
    in_words,
)
from volproc.volume.channels import one_class, stored_selection
from volproc.volume.creation import (
    holds_arrays_of,
    provenance_of,
    replace_volume,
    update_provenance,
    write_metadata,
)
from volproc.volume.display_window import window_of
from volproc.volume.file_io import remove_partial_files, write_file
from volproc.volume.fingerprint import fingerprint
from volproc.volume.inside_image import placed_by_image
from volproc.volume.metadata import Level, VolumeInfo
from volproc.volume.metadata_reader import array_of, attributes_of, read_info
from volproc.volume.presence import has_all_chunks, requiring_chunks, when_there
from volproc.volume.retrying_store import for_zarr
from volproc.volume.shard import encoded_shard, is_plain, write_shard
from volproc.volume.shard_reader import ShardedLevel, sharded_level
from volproc.volume.shards_at_once import each_at_once
from volproc.volume.stored_arrays import model_error

if TYPE_CHECKING:
    from zarr.core.array_spec import ArrayConfigParams


@dataclass(frozen=True, repr=False)
class Volume(ArrayProtocol):
    """An OME-Zarr volume, open for boxes of voxels, and an array of its finest level.

    Pickles as its metadata. Reading takes any box inside a level. Writing takes whole shards only:
    two tasks that wrote parts of one shard would lose voxels without an error.
    """

    info: VolumeInfo

    def __getstate__(self) -> dict[str, Any]:
        return {"info": self.info}

    def read(self, box: Box, level: int = 0, *, channel: int | None = None) -> npt.NDArray[Any]:
        """Voxels of `box`, shape (z, y, x); all channels, (c, z, y, x), where none is named."""
        here = self.info.levels[level]
        if not here.box.contains(box):
            raise GridError(
                f"{self.info.url} level {level} has {here.shape} voxels; {box} is outside"
            )
        if self._sharded[level]:
            return self._read_shards(box, level, channel)
        lead = (slice(None),) if self.info.channels else ()
        named = lead if channel is None else (channel,)
        return self.select((*named, *box.slices), level)

    def _read_shards(self, box: Box, level: int, channel: int | None) -> npt.NDArray[Any]:
        shards, named = self._sharded[level], self.info.channels and channel is None
        assert shards
        first = self.info.picked[0] if self.info.picked else 0
        wanted = range(len(self.info.channels)) if named else (channel or 0,)
        channels = [first + n for n in wanted]
        with reading(f"{self.info.url} level {level}, voxels {box}"):
            found = when_there(self.info, lambda: shards.read(box, channels))
        return found if named else found[0]

    def select(self, selection: Selection, level: int = 0) -> npt.NDArray[Any]:
        """Voxels at `selection` (one entry per axis of `shape`) of a level."""
        with reading(f"{self.info.url} level {level}, voxels {in_words(selection)}"):
            array = self._readable[level]
            stored = stored_selection(self.info, selection, array.ndim)
            found = when_there(self.info, lambda: array[stored])
            return np.asarray(found, dtype=self.info.dtype)

    def write(self, box: Box, values: npt.ArrayLike, level: int = 0) -> None:
        """Store `values`, or one for all, at `box`; GridError unless it is whole shards."""
        if self.info.picked:
            raise GridError(f"{self.info.url}: single channels cannot be written, all can")
        here = self.info.levels[level]
        if not (here.box.contains(box) and box.aligned_to(here.shards, whole=here.box)):
            raise GridError(
                f"box {box} cuts shards of {here.shards} in {self.info.url} level {level}; "
                "make the block a multiple of the shard"
            )
        with writing(f"{self.info.url} level {level}, voxels {box}"):
            array = self._arrays[level]
            if self._plain[level]:
                self._write_shards(here, array, box, values)
            else:
                lease.require()
                array[(Ellipsis, *box.slices)] = values

    def _write_shards(self, level: Level, array: Any, box: Box, values: npt.ArrayLike) -> None:
        folder, lead = local_path(self.info.url), array.shape[:-3]
        how = {"shard": array.shards, "chunk": array.chunks}
        keep_empty = self.info.kind == "image"
        values = np.broadcast_to(np.asarray(values, self.info.dtype), (*lead, *box.shape))

        def write(part: Block) -> None:
            number = each(lambda a, n: a // n, part.core.start, level.shards)
            key = f"{level.path}/{array.metadata.encode_chunk_key((*(0 for _ in lead), *number))}"
            voxels = values[(..., *part.core.within(box.start).slices)]
            if folder:
                write_shard(folder / key, voxels, keep_empty=keep_empty, **how)
            else:
                content = encoded_shard(voxels, keep_empty=keep_empty, **how)
                write_file(f"{self.info.url}/{key}", content)

        shards = Tiling(shape=level.shape, core=level.shards).over(box)
        if folder:
            each_at_once(write, shards)
        else:  # each is held in memory as a whole
            for part in shards:
                write(part)

    def channel(self, name: str) -> Volume:
        """One channel as a volume of its own; ConfigError where none is called so."""
        return Volume(one_class(self.info, name, option="channel"))

    def dask(self, level: int = 0, chunks: Any = None) -> Any:
        """A level as a lazy dask array, one chunk per shard, or `chunks` as dask takes them.

        An open volume that is the same, in whatever process, gives the same keys: what is computed
        from it can be told again. Read only: `volproc.store` writes.
        """
        import dask.array
        from dask.base import tokenize

        array = self._readable[level]
        leading = (0,) * (array.ndim - self.ndim)  # of time, or of a single channel
        if isinstance(chunks, tuple):
            chunks = (*(1 for _ in leading), *chunks)
        name = f"volume-{tokenize(canonical(self.info.url), self.fingerprint, level, chunks)}"
        cut = chunks or array.shards or array.chunks
        lazy = dask.array.from_array(array, chunks=cut, name=name)
        whole = stored_selection(self.info, (slice(None),) * self.ndim, array.ndim)
        return lazy[whole] if leading or self.info.picked else lazy

    def finish(self) -> Volume:
        """Mark the volume complete, after its last voxel: only then others may trust it.

        An image without a window gets one. VolumeError if the metadata is not valid OME-Zarr.
        """
        lease.require()
        if self.info.provenance.get("finished"):
            return self
        info = self.info
        if info.kind == "image" and info.window is None:
            info = replace(info, window=window_of(info.levels, self.read))
        write_metadata(info)
        problem = model_error(info.url, labels=info.kind == "labels")
        if problem:
            raise VolumeError(
                f"{info.url} is not valid OME-Zarr {info.version} and stays unfinished: {problem}"
            )
        info = info.with_provenance(finished=True)
        write_metadata(info)
        return Volume(info)

    @property
    def fingerprint(self) -> str:
        """Changes when the metadata or any voxel on disk does, by whatever program."""
        return fingerprint(self.info)

    @cached_property
    def _readable(self) -> tuple[Any, ...]:
        if not has_all_chunks(attributes_of(self._group).get("volproc", {}), self.info.kind):
            return self._arrays
        return tuple(requiring_chunks(array, self.info) for array in self._arrays)

    @cached_property
    def _sharded(self) -> tuple[ShardedLevel | None, ...]:
        """How to read each level without zarr; None where zarr does it."""
        return tuple(
            sharded_level(self.info, level, array) if array is not whole else None
            for level, array, whole in zip(
                self.info.levels, self._readable, self._arrays, strict=True
            )
        )

    @cached_property
    def _plain(self) -> tuple[bool, ...]:
        return tuple(is_plain(array) for array in self._arrays)

    @cached_property
    def _group(self) -> zarr.Group:
        mode: Literal["r", "r+"] = "r+" if self.info.provenance else "r"
        return zarr.open_group(for_zarr(self.info.url), mode=mode)

    @cached_property
    def _arrays(self) -> tuple[Any, ...]:
        # What is written is there, background too: a file that is missing is a loss. And comparing
        # every chunk with the fill value costs 3.8 to 6.7 times the CPU of encoding it.
        config: ArrayConfigParams = {"write_empty_chunks": True}
        arrays = (array_of(self._group, level.path, self.info.url) for level in self.info.levels)
        return tuple(array.with_config(config) for array in arrays)


def open_volume(
    url: str | Path, *, voxel_nm: Sequence[float] | None = None, level: str = ""
) -> Volume:
    """The OME-Zarr volume (0.4 or 0.5) at a path or URL; labels as `IMAGE.zarr/labels/NAME`.

    These lie where their image does if they do not say otherwise.
    `voxel_nm` replaces the voxel size (z, y, x) of the finest level where the metadata lacks or
    misstates it, the place in voxels is kept; `level` names the only one to open.
    VolumeError, one line, if there is no such volume or a run has not finished it.
    """
    info = read_info(without_secrets(str(url)), voxel_nm=voxel_nm, level=level)
    if info.provenance and not info.provenance.get("finished"):
        raise VolumeError(
            f"{info.url} is unfinished: the {info.provenance.get('step', 'volproc')} step that "
            "writes it was interrupted; run the same command again to complete it"
        )
    return Volume(placed_by_image(info))


def create_volume(info: VolumeInfo, *, step: str, digest: str, version: str) -> Volume:
    """Make the volume's metadata and empty arrays, or take up the one of the same `digest` again.

    A volume that volproc made from other inputs or options is replaced; anything else at that
    place is refused and left alone. `version` is volproc's own.
    """
    info = info.with_provenance(
        version=version, step=step, digest=digest, finished=False, complete=True
    )
    there = provenance_of(info.url)
    if not there and is_occupied(info.url):
        raise VolumeError(
            f"{info.url} exists and was not written by volproc; choose another name or remove it"
        )
    if lease.left_by_dead():
        remove_partial_files(info.url)
    if _is_same(info, there, digest):
        kept = {key: there.get(key, False) for key in ("finished", "complete")}
        if there.get("recipe") != info.provenance.get("recipe"):  # other inputs gave the same
            update_provenance(info.url, recipe=info.provenance.get("recipe"))
        return Volume(info.with_provenance(**kept))
    replace_volume(info)
    write_metadata(info)
    return Volume(info)


def is_begun(info: VolumeInfo, *, digest: str) -> bool:
    """Whether the volume of this `digest` was made where `info` says, finished or not."""
    return _is_same(info, provenance_of(info.url), digest)


def _is_same(info: VolumeInfo, there: dict[str, Any], digest: str) -> bool:
    """Whether a volume may be gone on with: made from the same, and cut as it is planned.

    Another program may cut it otherwise; what this one writes would lie in the wrong places.
    """
    return there.get("digest") == digest and holds_arrays_of(info)
