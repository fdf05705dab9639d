"""The ground truth of one block, and what an answer has in common with it: kernels, no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.stages.evaluate.block_surfaces import BlockSurfaces, BlockView, SurfaceTask
from volproc.stages.evaluate.block_tables import ERRORS, PIXELS, SURFACES, SWEEPS, keyed
from volproc.stages.evaluate.overlap import overlap_by_slice
from volproc.stages.evaluate.pixel_distances import pixel_sums
from volproc.stages.evaluate.result import Answer
from volproc.stages.scores.sparse_sums import SparseSums

Mask = npt.NDArray[np.bool_]

WINDOW = 256
"""Side of the squares, counted from the volume's first voxel, in which errors are counted."""


@dataclass(frozen=True)
class Against:
    """A mask of the ground truth on the voxels that a block reads, to score answers against."""

    view: BlockView
    truth: Mask
    surfaces: SurfaceTask | None
    reference: bool = False

    def ids(self, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Ids of the ground truth in the core; 0 where they do not count."""
        own = labels[self.view.core.slices]
        return np.where(self.view.counted(self.truth), own, own.dtype.type(0))

    def overlap(self, answer: Answer) -> npt.NDArray[np.int64]:
        """TP, FP and FN of every slice, shape (slices, 3)."""
        return overlap_by_slice(self.view.counted(answer.inside), self.view.counted(self.truth))

    def tables(self, answer: Answer) -> Iterator[tuple[str, SparseSums]]:
        """The tables of `block_tables`, as far as they are asked for, without the answer."""
        yield from ((SWEEPS, one) for one in self._sweep(answer))
        yield ERRORS, self._errors(answer)
        if self._surfaces:
            for z, one in self._surfaces.against(answer.inside):
                yield SURFACES, keyed([z], one)
        if self.surfaces and self.reference:
            yield PIXELS, pixel_sums(self.view, self.truth, answer.inside, self.surfaces)

    @cached_property
    def _surfaces(self) -> BlockSurfaces | None:
        if not self.surfaces:
            return None
        return self.surfaces.of_block(self.truth, self.view)

    def _sweep(self, answer: Answer) -> Iterator[SparseSums]:
        """Voxels by their level, outside and inside of the truth."""
        if answer.levels is None:
            return
        core = self.view.core.slices
        codes = answer.levels[core] + np.uint16(256) * self.truth[core]
        if self.view.ignored is not None:
            codes = codes[~self.view.ignored[core]]
        counts = np.bincount(codes.reshape(-1), minlength=512)
        there = np.flatnonzero(counts)
        yield SparseSums(np.stack(np.divmod(there, 256), axis=1), counts[there])

    def _errors(self, answer: Answer) -> SparseSums:
        """Voxels of one side only by slice and window."""
        wrong = self.view.counted(answer.inside ^ self.truth)
        z, y, x = self.view.start
        rows, columns = (
            _windows(first, n) for first, n in zip((y, x), wrong.shape[1:], strict=True)
        )
        counts = np.array(
            [[[np.count_nonzero(part[r, c]) for c in columns] for r in rows] for part in wrong]
        )
        where = np.argwhere(counts)
        place = np.array([z, y // WINDOW, x // WINDOW])
        return SparseSums(where + place, counts[tuple(where.T)])


def _windows(first: int, size: int) -> list[slice]:
    """Where the windows lie in `size` voxels from `first` on."""
    edges = [0, *range(WINDOW - first % WINDOW, size, WINDOW), size]
    return [slice(*ends) for ends in pairwise(edges)]
