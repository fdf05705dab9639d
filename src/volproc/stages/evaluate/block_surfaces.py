"""Surfaces of one block: slice by slice, in space, or both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Box, Shape
from volproc.grid.scale import VoxelNm
from volproc.stages.array_namespace import Device
from volproc.stages.evaluate.block_tables import ALL_SLICES
from volproc.stages.scores.sparse_sums import SparseSums
from volproc.stages.scores.surface_elements import surface_elements
from volproc.stages.scores.surface_sums import Surface, halo_of, surface_sums

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BlockView:
    """What a block reads, `box`; what it counts, `core` in the voxels of that; what is ignored."""

    box: Box
    core: Box
    ignored: Mask | None

    @property
    def start(self) -> tuple[int, int, int]:
        """The core's first voxel in the volume."""
        return self.core.shift(self.box.start).start

    def counted(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The core's values; 0 where they are ignored."""
        own = values[self.core.slices]
        if self.ignored is None:
            return own
        return np.where(self.ignored[self.core.slices], own.dtype.type(0), own)


@dataclass(frozen=True)
class SurfaceTask:
    """How surfaces are compared: `in_slices`, `in_space` or both, up to `most_nm` apart.

    In space on the `device`; a slice is too little work for a GPU.
    """

    voxel_nm: VoxelNm
    most_nm: float
    in_slices: bool
    in_space: bool
    device: Device = "cpu"

    @property
    def halo(self) -> Shape:
        """Voxels around a block that it reads."""
        z, y, x = halo_of(self.voxel_nm, self.most_nm)
        return z if self.in_space else 0, y, x

    def of_block(self, truth: Mask, view: BlockView) -> BlockSurfaces:
        """The surfaces of the ground truth in a block."""
        return BlockSurfaces(self, view, [*self.surfaces(truth, view)])

    def surfaces(self, mask: Mask, view: BlockView) -> Iterator[Surface]:
        """The surface of each slice of the core, then that in space, as far as asked for."""
        ignored = view.ignored
        if self.in_slices:
            for z in range(view.core.start[0], view.core.stop[0]):
                without = None if ignored is None else ignored[z]
                elements = surface_elements(mask[z], at_border=False, ignored=without)
                yield Surface(elements, self.voxel_nm[1:], self.most_nm)
        if self.in_space:
            elements = surface_elements(mask, at_border=False, ignored=ignored)
            yield Surface(elements, self.voxel_nm, self.most_nm, self.device)


@dataclass(frozen=True)
class BlockSurfaces:
    """The surfaces of the ground truth in a block."""

    task: SurfaceTask
    view: BlockView
    truth: list[Surface]

    def against(self, inside: Mask) -> Iterator[tuple[int, SparseSums]]:
        """The sums of `surface_sums` against an answer, by slice, and ALL_SLICES in space."""
        core, first = self.view.core, self.view.box.start[0]
        slices = range(core.start[0] + first, core.stop[0] + first)
        places = [*(slices if self.task.in_slices else ()), *[ALL_SLICES] * self.task.in_space]
        found = self.task.surfaces(inside, self.view)
        for place, truth, result in zip(places, self.truth, found, strict=True):
            start, stop = (edge[-len(truth.nm) :] for edge in (core.start, core.stop))
            yield place, surface_sums(truth, result, start=start, stop=stop)
