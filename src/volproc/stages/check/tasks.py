"""One block: its files read, and the coarser level compared with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from volproc.engine.protocol import Task
from volproc.errors import VolumeError
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Box, Shape, each
from volproc.stages.check.level_voxels import Windows, outside
from volproc.volume.metadata import Kind
from volproc.volume.pyramid import coarsen
from volproc.volume.stored_arrays import StoredArray

Comparison = Literal["read", "exact", "within"]
"""Only read; compare with volproc's own mean or mode, bit by bit; or compare with the range."""


@dataclass(frozen=True)
class CheckBlock(Task):
    """Decode the files under a block of `finer`, and compare `coarser` with their voxels.

    The axes before z, y, x are gone through file by file, so memory has one file's worth of
    them. Nothing is written; the record says what was found.
    """

    finer: StoredArray
    coarser: StoredArray
    kind: Kind
    comparison: Comparison

    @property
    def step(self) -> Shape:
        """How many finer voxels make a coarser one, per axis, in a pyramid of volproc."""
        return each(lambda n, m: -(-n // m), self.finer.space, self.coarser.space)

    @property
    def windows(self) -> Windows:
        """Where others' coarser voxels may come from."""
        return Windows(self.finer.space, self.coarser.space)

    def load(self, block: Block) -> dict[str, Any]:
        """What is wrong in the block: all the work, since the arrays need not be kept."""
        record: dict[str, Any] = {"damaged": [], "nan": 0, "wrong": 0, "compared": 0, "first": None}
        for lead in leads(self.finer):
            values = self._read(block, lead, record)
            if values is None:
                continue
            core = values[(Ellipsis, *block.core.within(block.read.start).slices)]
            if core.dtype.kind == "f":
                record["nan"] += int(np.isnan(core).sum())
            if self.comparison != "read":
                self._compare(block, lead, values, record)
        return record

    def _read(
        self, block: Block, lead: tuple[slice, ...], record: dict[str, Any]
    ) -> npt.NDArray[Any] | None:
        """The voxels; None where files are damaged, each of which is recorded."""
        try:
            return self.finer.read(block.read, lead=lead)
        except VolumeError:
            damaged = list(self._damaged(block, lead))
        record["damaged"] += damaged
        return None

    def _damaged(self, block: Block, lead: tuple[slice, ...]) -> Iterator[tuple[str, str]]:
        first = tuple(s.start // u for s, u in zip(lead, self.finer.unit[:-3], strict=True))
        files = Tiling(self.finer.space, self.finer.file_space)
        for file in files.over(block.read):
            try:
                self.finer.read(file.core.clip(block.read), lead=lead)
            except VolumeError as error:
                reason = str(error.__cause__ or error).splitlines()[0]
                yield self.finer.file((*first, *files.position(file.index))), reason

    def _compare(
        self,
        block: Block,
        lead: tuple[slice, ...],
        values: npt.NDArray[Any],
        record: dict[str, Any],
    ) -> None:
        box = self._coarser_box(block)
        if not box.size:
            return
        try:
            there = self.coarser.read(box, lead=lead)
        except VolumeError:
            return  # named where that level's own files are read
        flat = values.reshape(-1, *block.read.shape), there.reshape(-1, *box.shape)
        for fine, coarse in zip(*flat, strict=True):
            wrong = self._wrong(block, box, fine, coarse)
            record["compared"] += wrong.size
            record["wrong"] += int(wrong.sum())
            if record["first"] is None and wrong.any():
                place = np.argwhere(wrong)[0]
                at = each(lambda a, p: a + int(p), box.start, place)
                record["first"] = [*at, str(coarse[tuple(place)])]

    def _coarser_box(self, block: Block) -> Box:
        if self.comparison == "within":
            return self.windows.under(block.core)
        start = each(lambda a, s: a // s, block.core.start, self.step)
        return Box(start, each(lambda b, s: -(-b // s), block.core.stop, self.step))

    def _wrong(
        self, block: Block, box: Box, fine: npt.NDArray[Any], coarse: npt.NDArray[Any]
    ) -> npt.NDArray[np.bool_]:
        if self.comparison == "exact":
            expected = coarsen(fine, self.step, kind=self.kind)
            same = expected == coarse
            if fine.dtype.kind == "f":
                same |= np.isnan(expected) & np.isnan(coarse)
            different: npt.NDArray[np.bool_] = ~same
            return different
        return outside(
            coarse,
            fine,
            windows=self.windows,
            box=box,
            origin=block.read.start,
            kind=self.kind,
        )


def leads(array: StoredArray) -> Iterator[tuple[slice, ...]]:
    """The axes before z, y, x, as many at a time as one file has."""
    along = zip(array.shape[:-3], array.unit[:-3], strict=True)
    parts = ([slice(a, min(n, a + u)) for a in range(0, n, u)] for n, u in along)
    return product(*parts)
