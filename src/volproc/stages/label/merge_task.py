"""The merge as tasks: groups of neighbouring blocks, each merged on a worker like a block."""

from __future__ import annotations

from collections.abc import (
    Callable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.blocks import (
    Block,
    Connectivity,
    Tiling,
    forward_steps,
)
from volproc.grid.box import (
    Shape,
    each,
)
from volproc.stages.label.block_table import BlockTable
from volproc.stages.label.component_tasks import FACES
from volproc.stages.label.criteria import Criteria
from volproc.stages.label.merge import (
    Group,
    Names,
    crossing_names,
    merge_group,
    names_of,
)
from volproc.stages.label.merge_tables import (
    Tables,
    faces_of,
)
from volproc.stages.objects.components import (
    Labels,
    touching_ids,
)
from volproc.stages.objects.statistics import ROW_BYTES

Pairs = tuple[int, int, npt.NDArray[np.uint32]]


@dataclass(frozen=True)
class GroupTables:
    """The tables of a group's blocks, and which components touch (see `merge_group`)."""

    tables: dict[int, BlockTable]
    touching: Names
    crossing: Names
    going_on: Names


@dataclass(frozen=True)
class MergeGroup:
    """Task: the objects of a group, those that end in it and those that may continue."""

    tables: Tables
    groups: Groups
    criteria: Criteria

    def load(self, block: Block) -> GroupTables:
        """Tables of the group's blocks, and the components that touch at their borders."""
        members = self.groups.members(block.index)
        tables = {index: self.tables.block(index) for index in members}
        if self.criteria.options.input == "labels":
            nothing = crossing_names([])
            return GroupTables(tables, nothing, nothing, nothing)
        inside, outside = self._touching(set(members))
        return GroupTables(tables, inside, outside, self._going_on(set(members)))

    def compute(self, block: Block, loaded: GroupTables) -> Group:
        """The objects."""
        return merge_group(
            loaded.tables,
            touching=loaded.touching,
            crossing=loaded.crossing,
            going_on=loaded.going_on,
            criteria=self.criteria,
        )

    def store(self, block: Block, result: Group) -> dict[str, Any]:
        """Write the objects, and what became of each component."""
        self.tables.save_group(block.index, result)
        return {
            "closed": len(result.closed),
            "open": len(result.open.names),
            "dropped": result.dropped,
            "largest_dropped": result.largest_dropped,
        }

    def _touching(self, members: set[int]) -> tuple[Names, Names]:
        """Names that touch within the group, and across its border to blocks after it."""
        inside: list[Pairs] = []
        outside: list[Pairs] = []
        for pairs in self._pairs(members):
            (inside if pairs[1] in members else outside).append(pairs)
        return crossing_names(inside), crossing_names(outside)

    def _pairs(self, members: set[int]) -> Iterator[Pairs]:
        _, rows, columns = self.groups.grid.core
        load = faces_of(self.tables, keep=2 * (rows + 1) * (columns + 1))
        for first in sorted(members):
            yield from pairs_from(
                first, self.groups.blocks, self.criteria.options.connectivity, load
            )

    def _going_on(self, members: set[int]) -> Names:
        """Components at the group's border, sorted."""
        load = faces_of(self.tables, keep=1)
        found = [np.empty(0, dtype=np.uint64)]
        for index in sorted(members):
            for neighbour, step in self.groups.blocks.neighbours(index, FACES):
                if neighbour not in members:
                    ids = np.unique(load(index, step))
                    found.append(names_of(index, ids[ids > 0]))
        return np.unique(np.concatenate(found))


def pairs_from(
    first: int,
    blocks: Tiling,
    connectivity: Connectivity,
    load: Callable[[int, Shape], Labels],
) -> Iterator[Pairs]:
    """Ids that touch between block `first` and each neighbour after it.

    `load` gives a block's border towards a step.
    """
    for second, step in blocks.neighbours(first, forward_steps(connectivity)):
        z, y, x = step
        near, far = load(first, step), load(second, (-z, -y, -x))
        if near.any() and far.any():
            yield first, second, touching_ids(near, far, step=step, connectivity=connectivity)


@dataclass(frozen=True)
class NumberBlocks:
    """Task: for each block of a group, the final id of each of its own ids.

    `closed` is how many objects end in each group.
    """

    tables: Tables
    groups: Groups
    closed: tuple[int, ...]

    def load(self, block: Block) -> npt.NDArray[Any]:
        """The final ids of the group's objects."""
        return self.tables.ids(block.index, closed=self.closed[block.index])

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Already done."""
        return loaded

    def store(self, block: Block, result: npt.NDArray[Any]) -> None:
        """Write them, block by block."""
        self.tables.save_lookups(block.index, self.groups.members(block.index), result)


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

    They depend on nothing else, so that a merge can be resumed.
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
