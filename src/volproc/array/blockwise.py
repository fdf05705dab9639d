"""Blocks as tasks over the chunks of a dask array: few tasks per block, all in one layer.

dask's own slicing would add a layer per block. Here each block's task gets the parts of the chunks
that its box meets, cut where the chunk is, so that only what is needed travels to it:

    chunk 0 ──cut──┐
    chunk 1 ───────┼── task of block 7 ──▶ chunk 7 of the result
    chunk 2 ──cut──┘
"""

from __future__ import annotations

import operator
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import numpy.typing as npt
from dask.highlevelgraph import HighLevelGraph

from volproc.errors import VolumeError
from volproc.grid.blocks import Tiling
from volproc.grid.box import Box, each
from volproc.stages.label.mask_source import source_of
from volproc.volume.dask_token import is_prediction
from volproc.volume.metadata import VolumeInfo
from volproc.volume.store import Volume

Parts = Any
"""Keys of parts of chunks, nested lists along z, y and x."""


@dataclass(frozen=True)
class Image:
    """Levels of a volume as dask arrays; of an array, itself as the only level."""

    info: VolumeInfo
    given: Any

    def level(self, number: int) -> dask.array.Array:
        """A level as a dask array of z, y and x."""
        if isinstance(self.given, Volume):
            return self.given.dask(number)
        return self.given


def image_of(given: Any, voxel_nm: Any) -> Image:
    """A volume, a dask array, or any array that dask takes; VolumeError for what is none.

    The info of an array says what it is made from, as a volume's does that is still to be made.
    """
    source = source_of(given, voxel_nm=voxel_nm)
    if isinstance(source, Volume):
        return Image(source.info, source)
    if not hasattr(source, "array") or isinstance(given, str | Path):
        raise VolumeError(f"{given} is no OME-Zarr; give dask.array.from_zarr(path) and voxel_nm")
    lazy = given if isinstance(given, dask.array.Array) else dask.array.from_array(given)
    made: dict[str, Any] = {"recipe": {"array": lazy.name}, "finished": False}
    info = source.info.with_provenance(**made, probabilities=is_prediction(lazy))
    return Image(info, lazy)


@dataclass
class Blocks:
    """The graph layer of one result, as it is being made."""

    name: str
    tasks: dict[Any, Any] = field(default_factory=dict)
    arrays: dict[str, dask.array.Array] = field(default_factory=dict)

    def parts(self, array: dask.array.Array, box: Box) -> Parts:
        """The parts of `array` that make `box`, for a task that begins with `whole(parts)`."""
        self.arrays[array.name] = array
        z, y, x = (
            _spans(starts, a, b)
            for starts, a, b in zip(_starts(array), box.start, box.stop, strict=True)
        )
        return [[[self._part(array, a, b, c) for c in x] for b in y] for a in z]

    def _part(self, array: dask.array.Array, *spans: _Span) -> Any:
        chunk = (array.name, *(span.chunk for span in spans))
        if all(span.is_whole for span in spans):
            return chunk
        key = (f"part-{self.name}", len(self.tasks))
        self.tasks[key] = (operator.getitem, chunk, tuple(span.inside for span in spans))
        return key

    def result(self, blocks: Tiling, dtype: str, lead: int = 0) -> dask.array.Array:
        """The array whose chunks are the tasks called (name, i, j, k).

        With `lead` a first axis of that length comes before, in one chunk: (name, 0, i, j, k).
        """
        graph = HighLevelGraph.from_collections(
            self.name, self.tasks, dependencies=list(self.arrays.values())
        )
        chunks = each(_lengths, blocks.shape, blocks.core)
        first = ((lead,),) if lead else ()
        meta = np.empty((0,) * (3 + len(first)), dtype)
        return dask.array.Array(graph, self.name, (*first, *chunks), meta=meta)


@dataclass(frozen=True)
class _Span:
    """What a box takes of one chunk along one axis."""

    chunk: int
    inside: slice
    is_whole: bool


def _starts(array: dask.array.Array) -> tuple[list[int], ...]:
    """Where the chunks begin along each axis, and the end of the last."""
    return tuple([0, *accumulate(lengths)] for lengths in array.chunks)


def _spans(starts: list[int], first: int, last: int) -> list[_Span]:
    """The chunks that `first` to `last` meet.

    >>> [(one.chunk, one.inside) for one in _spans([0, 4, 8, 10], 3, 8)]
    [(0, slice(3, 4, None)), (1, slice(0, 4, None))]
    """
    spans = []
    chunk = bisect_right(starts, first) - 1
    while starts[chunk] < last:
        begin, end = starts[chunk], starts[chunk + 1]
        inside = slice(max(first, begin) - begin, min(last, end) - begin)
        spans.append(_Span(chunk, inside, inside == slice(0, end - begin)))
        chunk += 1
    return spans


def _lengths(size: int, block: int) -> tuple[int, ...]:
    return tuple(min(block, size - start) for start in range(0, size, block))


def whole(parts: Parts) -> npt.NDArray[Any]:
    """The array that nested lists of parts make; a single one is not copied."""
    if len(parts) == len(parts[0]) == len(parts[0][0]) == 1:
        return np.asarray(parts[0][0][0])
    return np.block(parts)
