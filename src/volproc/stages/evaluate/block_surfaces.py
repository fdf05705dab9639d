"""Surfaces of one block: slice by slice, in space, or both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Box, Shape
from volproc.grid.scale import VoxelNm
from volproc.stages.evaluate.block_tables import ALL_SLICES
from volproc.stages.scores.sparse_sums import SparseSums
from volproc.stages.scores.surface_elements import surface_elements
from volproc.stages.scores.surface_sums import Surface, halo_of, surface_sums

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SurfaceTask:
    """How surfaces are compared: `in_slices`, `in_space` or both, up to `most_nm` apart."""

    voxel_nm: VoxelNm
    most_nm: float
    in_slices: bool
    in_space: bool

    @property
    def halo(self) -> Shape:
        """Voxels around a block that it reads."""
        z, y, x = halo_of(self.voxel_nm, self.most_nm)
        return z if self.in_space else 0, y, x

    def of_block(self, truth: Mask, ignored: Mask | None, box: Box, core: Box) -> BlockSurfaces:
        """The surfaces of the ground truth on `box`, of which `core` is counted from its start."""
        return BlockSurfaces(self, ignored, box, core, [*self._views(truth, ignored, core)])

    def _views(self, mask: Mask, ignored: Mask | None, core: Box) -> Iterator[Surface]:
        """The surface of each slice of the core, then that in space, as far as asked for."""
        how = {"at_border": False}
        if self.in_slices:
            for z in range(core.start[0], core.stop[0]):
                without = None if ignored is None else ignored[z]
                elements = surface_elements(mask[z], ignored=without, **how)
                yield Surface(elements, self.voxel_nm[1:], self.most_nm)
        if self.in_space:
            elements = surface_elements(mask, ignored=ignored, **how)
            yield Surface(elements, self.voxel_nm, self.most_nm)


@dataclass(frozen=True)
class BlockSurfaces:
    """The surfaces of the ground truth of a block."""

    task: SurfaceTask
    ignored: Mask | None
    box: Box
    core: Box
    truth: list[Surface]

    def against(self, inside: Mask) -> Iterator[tuple[int, SparseSums]]:
        """The sums of `surface_sums` against an answer, by slice, and ALL_SLICES in space."""
        first, end = (edge[0] + self.box.start[0] for edge in (self.core.start, self.core.stop))
        slices = [*range(first, end)] if self.task.in_slices else []
        places = [*slices, *[ALL_SLICES] * self.task.in_space]
        views = self.task._views(inside, self.ignored, self.core)
        for place, truth, result in zip(places, self.truth, views, strict=True):
            start, stop = (edge[-len(truth.nm) :] for edge in (self.core.start, self.core.stop))
            yield place, surface_sums(truth, result, start=start, stop=stop)
