"""Boxes of voxels read straight from the shards that `volume/shard.py` writes.

zarr reads every chunk by a task of its own on one event loop for the whole process, which keeps
the interpreter busy and caps a process at 0.6 GB/s (benchmarks/LOG.md). Here a thread reads
what its box needs: the index of each shard, and the chunks that the box touches; several threads
where there are cores for them (`shards_at_once.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt
import zarr
from numcodecs.zstd import Zstd

from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Box, Shape, each
from volproc.retry import PatientFile
from volproc.volume.access import local_path
from volproc.volume.metadata import Level, VolumeInfo
from volproc.volume.presence import AbsentError
from volproc.volume.shard import MISSING, is_plain
from volproc.volume.shards_at_once import each_at_once

CHECKSUM_BYTES = 4
PLACE_BYTES = 16
"""Of a chunk in the index: where it begins, and its length."""


@dataclass(frozen=True)
class ShardedLevel:
    """A level whose shards are files of their own, each with all channels."""

    shape: Shape
    shards: Shape
    chunks: Shape
    dtype: np.dtype[Any]
    channels: int
    """1 also where there is no channel axis."""
    file_of: Callable[[Shape], Path]
    """The file of the shard with a number (z, y, x)."""
    missing: Callable[[Path, str], Exception]
    """The error for a file that is gone or empty."""

    def read(self, box: Box, channels: Sequence[int]) -> npt.NDArray[Any]:
        """Voxels of `box` in some channels, (c, z, y, x)."""
        out = np.empty((len(channels), *box.shape), self.dtype)

        def read(shard: Block) -> None:
            path = self.file_of(each(lambda a, n: a // n, shard.core.start, self.shards))
            with self._opened(path) as file:
                places, end = self._index(file, path)
                for n, channel in enumerate(channels):
                    self._fill(out[n], box, shard.core, file, places[channel], end)

        each_at_once(read, Tiling(shape=self.shape, core=self.shards).over(box))
        return out

    def _opened(self, path: Path) -> PatientFile:
        try:
            return PatientFile(open, path, "rb", buffering=0)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self.missing(path, "gone") from error

    def _index(self, file: PatientFile, path: Path) -> tuple[npt.NDArray[np.uint64], int]:
        """Place and length of each chunk, and where they end; ValueError if it is damaged."""
        counts = (self.channels, *each(lambda s, c: s // c, self.shards, self.chunks))
        size, listed = file.seek(0, 2), PLACE_BYTES * prod(counts)
        end = size - listed - CHECKSUM_BYTES
        if not size:
            raise self.missing(path, "empty")
        content = bytes(_read(file, end, listed + CHECKSUM_BYTES)) if end >= 0 else b""
        stated = int.from_bytes(content[listed:], "little")
        if end < 0 or google_crc32c.value(content[:listed]) != stated:
            raise ValueError(f"the index of {path.name} does not have the checksum it states")
        return np.frombuffer(content, "<u8", count=listed // 8).reshape(*counts, 2), end

    def _fill(
        self,
        out: npt.NDArray[Any],
        box: Box,
        core: Box,
        file: PatientFile,
        places: npt.NDArray[np.uint64],
        end: int,
    ) -> None:
        """The part of `box` that lies in the shard of `core`, one channel of it."""
        values, zstd = np.empty(self.chunks, self.dtype), Zstd()
        wanted = box.clip(core).within(core.start)
        for chunk in Tiling(shape=self.shards, core=self.chunks).over(wanted):
            start, length = map(
                int, places[each(lambda a, n: a // n, chunk.core.start, self.chunks)]
            )
            if start == length == MISSING:
                values.fill(0)
            elif start + length > end:
                raise ValueError(f"an index names bytes {start} to {start + length} of {end}")
            else:
                zstd.decode(_read(file, start, length), values)
            inside = chunk.core.clip(wanted)
            there = inside.shift(core.start).within(box.start)
            out[there.slices] = values[inside.within(chunk.core.start).slices]


def sharded_level(info: VolumeInfo, level: Level, array: zarr.Array[Any]) -> ShardedLevel | None:
    """How to read a level of which all shards are there; None if it is not one of our own disks."""
    folder, lead = local_path(info.url), array.shape[:-3]
    stated = lead if info.picked else (len(info.channels),) * bool(info.channels)
    ours = is_plain(array) and not array.fill_value
    if not (folder and ours and array.shape == (*stated, *level.shape)):
        return None

    def file_of(number: Shape) -> Path:
        key = array.metadata.encode_chunk_key((*(0 for _ in lead), *number))
        return folder / level.path / key

    def missing(path: Path, what: str) -> AbsentError:
        return AbsentError(info.url, path.relative_to(folder).as_posix(), what)

    return ShardedLevel(
        level.shape, level.shards, level.chunks, array.dtype, prod(lead), file_of, missing
    )


def _read(file: PatientFile, start: int, length: int) -> bytearray:
    """Bytes of a file; ValueError if it ends before."""
    file.seek(start)
    content = bytearray(length)
    rest = memoryview(content)
    while rest:
        count = file.readinto(rest)
        if not count:
            raise ValueError(f"it ends {len(rest)} bytes too early")
        rest = rest[count:]
    return content
