"""Which blocks are merged together: groups of neighbours, none with more rows than fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from volproc.grid.blocks import Tiling
from volproc.grid.box import Shape, each
from volproc.stages.objects.statistics import ROW_BYTES

MAX_ROWS = 2**20
"""Components in the tables of a group, unless a single block has more."""
MERGE_BYTES = 6 * ROW_BYTES
"""Per row: as it was read, joined, sorted, united, and their graph."""


@dataclass(frozen=True)
class Groups:
    """The blocks of a volume in groups; `grid` counts in blocks."""

    blocks: Tiling
    grid: Tiling

    def members(self, group: int) -> list[int]:
        """The blocks of a group, in their order."""
        box = self.grid[group].core
        planes = np.arange(len(self.blocks)).reshape(self.blocks.counts)
        found: list[int] = planes[box.slices].reshape(-1).tolist()
        return found

    def layers(self) -> Iterator[tuple[range, int]]:
        """Groups side by side in z, in z order, and the first z voxel after them."""
        depth, rows, columns = self.grid.counts
        for z in range(depth):
            last = self.grid[z * rows * columns].core.stop[0]
            end = min(last * self.blocks.core[0], self.blocks.shape[0])
            yield range(z * rows * columns, (z + 1) * rows * columns), end


def groups_of(blocks: Tiling, rows: Sequence[int], *, most: int = MAX_ROWS) -> Groups:
    """As few groups as halving gives, none of which has more than `most` of the blocks' `rows`.

    The same whatever ran before, so that a merge may be taken up again.
    """
    heavy = np.array(rows, dtype=np.int64).reshape(blocks.counts)
    size = blocks.counts
    while max(size) > 1 and _heaviest(heavy, size) > most:
        voxels = each(lambda n, c: n * c if n > 1 else 0, size, blocks.core)
        longest = voxels.index(max(voxels))
        z, y, x = (-(-n // 2) if axis == longest else n for axis, n in enumerate(size))
        size = (z, y, x)
    return Groups(blocks, Tiling(shape=blocks.counts, core=size))


def _heaviest(rows: npt.NDArray[np.int64], size: Shape) -> int:
    for axis, n in enumerate(size):
        rows = np.add.reduceat(rows, np.arange(0, rows.shape[axis], n), axis=axis)
    return int(rows.max())
