"""Cutting a volume into blocks: who owns which voxels, who reads what, who touches whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Literal, overload

import numpy as np
import numpy.typing as npt

from volproc.errors import GridError
from volproc.grid.box import Box, Shape, each, whole_box

Connectivity = Literal[6, 18, 26]
"""Which voxels are neighbours: 6 share a face, 18 also an edge, 26 also a corner."""


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a volume: `core` is what one task writes, `read` what it may look at."""

    index: int
    core: Box
    read: Box


@dataclass(frozen=True)
class Tiling(Sequence[Block]):
    """`shape` cut into blocks whose cores cover every voxel exactly once.

    |halo|--core--|halo|             block 0 reads all three parts, writes its core
             |halo|--core--|halo|    block 1

    A sequence of blocks in raster order, made when asked for: a million of them cost nothing.
    `read` is clipped to the volume.
    """

    shape: Shape
    core: Shape
    halo: Shape = (0, 0, 0)

    def __post_init__(self) -> None:
        if min(self.core) < 1 or min(self.shape) < 1 or min(self.halo) < 0:
            raise GridError(
                f"cannot cut {self.shape} voxels into blocks of {self.core} with a halo of "
                f"{self.halo}: shape and block need at least 1 voxel per axis, the halo at least 0"
            )

    @property
    def counts(self) -> Shape:
        """Number of blocks along each axis."""
        return each(lambda n, c: -(-n // c), self.shape, self.core)

    def __len__(self) -> int:
        return prod(self.counts)

    @overload
    def __getitem__(self, index: int) -> Block: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Block, ...]: ...
    def __getitem__(self, index: int | slice) -> Block | tuple[Block, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        if not 0 <= index < len(self):
            raise IndexError(f"block {index} of {len(self)}")
        whole = whole_box(self.shape)
        start = each(lambda p, c: p * c, self.position(index), self.core)
        core = Box(start, each(lambda a, c: a + c, start, self.core)).clip(whole)
        return Block(index=index, core=core, read=core.grow(self.halo).clip(whole))

    def __iter__(self) -> Iterator[Block]:
        return (self[index] for index in range(len(self)))

    def position(self, index: int) -> Shape:
        """Where block `index` stands among the blocks, counted per axis."""
        _, rows, columns = self.counts
        return index // (rows * columns), index // columns % rows, index % columns

    def number(self, position: Shape) -> int:
        """The number of the block at `position`."""
        _, rows, columns = self.counts
        z, y, x = position
        return (z * rows + y) * columns + x

    def over(self, box: Box) -> Iterator[Block]:
        """Blocks whose cores meet `box`, in raster order."""
        inside = box.clip(whole_box(self.shape))
        if inside.size:
            spans = zip(inside.start, inside.stop, self.core, strict=True)
            for position in product(*(range(a // c, -(-b // c)) for a, b, c in spans)):
                z, y, x = position
                yield self[self.number((z, y, x))]

    def touching(self, connectivity: Connectivity) -> Iterator[tuple[int, int, Shape]]:
        """Pairs of blocks (first, second, step) with voxels that may be neighbours, each pair once.

        `step` leads from the first block to the second, -1, 0 or 1 per axis.
        """
        for first in range(len(self)):
            for second, step in self.neighbours(first, forward_steps(connectivity)):
                yield first, second, step

    def neighbours(self, index: int, steps: Iterable[Shape]) -> Iterator[tuple[int, Shape]]:
        """The blocks that `steps` lead to from block `index`, where there are any, and the step."""
        here = self.position(index)
        for step in steps:
            there = each(lambda a, b: a + b, here, step)
            if all(0 <= p < n for p, n in zip(there, self.counts, strict=True)):
                yield self.number(there), step


def forward_steps(connectivity: Connectivity) -> tuple[Shape, ...]:
    """One of each pair of opposite steps to a neighbour: 3 faces, 6 edges, 4 corners.

    >>> forward_steps(6)
    ((0, 0, 1), (0, 1, 0), (1, 0, 0))
    """
    axes_that_change = {6: 1, 18: 2, 26: 3}[connectivity]
    steps = ((z, y, x) for z, y, x in product((-1, 0, 1), repeat=3))
    return tuple(s for s in steps if s > (0, 0, 0) and sum(map(abs, s)) <= axes_that_change)


def reflected(start: int, stop: int, size: int) -> npt.NDArray[np.intp]:
    """Indices from `start` to `stop` on an axis of `size` voxels, mirrored at its ends.

    The border voxel is not repeated (numpy's "reflect"), and any length beyond is allowed.

    >>> reflected(-2, 5, 3).tolist()
    [2, 1, 0, 1, 2, 1, 0]
    """
    if size == 1:
        return np.zeros(stop - start, dtype=np.intp)
    period = 2 * (size - 1)
    along = np.arange(start, stop) % period
    return np.minimum(along, period - along).astype(np.intp)
