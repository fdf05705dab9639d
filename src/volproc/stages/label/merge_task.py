"""The merge as tasks: a group of blocks each, on workers like any other block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.blocks import Block, forward_steps
from volproc.stages.label.block_groups import Groups
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
from volproc.stages.label.tables import Tables, faces_of
from volproc.stages.objects.components import touching_ids

Pairs = tuple[int, int, npt.NDArray[np.uint32]]


@dataclass(frozen=True)
class GroupOfTables:
    """What a group's merge needs: its blocks' tables and who touches whom (see `merge_group`)."""

    tables: dict[int, BlockTable]
    touching: Names
    crossing: Names
    going_on: Names


@dataclass(frozen=True)
class MergeGroup:
    """Task: the objects of a group, those that end in it and those that may go on."""

    tables: Tables
    groups: Groups
    criteria: Criteria

    def load(self, block: Block) -> GroupOfTables:
        """Tables of the group's blocks, and the components that touch at their borders."""
        members = self.groups.members(block.index)
        tables = {index: self.tables.block(index) for index in members}
        if self.criteria.options.input == "labels":
            nothing = crossing_names([])
            return GroupOfTables(tables, nothing, nothing, nothing)
        inside, outside = self._touching(set(members))
        return GroupOfTables(tables, inside, outside, self._going_on(set(members)))

    def compute(self, block: Block, loaded: GroupOfTables) -> Group:
        """Merge them."""
        return merge_group(
            loaded.tables,
            touching=loaded.touching,
            crossing=loaded.crossing,
            going_on=loaded.going_on,
            criteria=self.criteria,
        )

    def store(self, block: Block, result: Group) -> dict[str, Any]:
        """Keep what became of them."""
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
        connectivity = self.criteria.options.connectivity
        _, rows, columns = self.groups.grid.core
        load = faces_of(self.tables, keep=2 * (rows + 1) * (columns + 1))
        for first in sorted(members):
            steps = forward_steps(connectivity)
            for second, step in self.groups.blocks.neighbours(first, steps):
                z, y, x = step
                near, far = load(first, step), load(second, (-z, -y, -x))
                if near.any() and far.any():
                    found = touching_ids(near, far, step=step, connectivity=connectivity)
                    yield first, second, found

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


@dataclass(frozen=True)
class NumberBlocks:
    """Task: for each block of a group, the final id of each of its own ids.

    `closed` says how many objects end in each group.
    """

    tables: Tables
    groups: Groups
    closed: tuple[int, ...]

    def load(self, block: Block) -> npt.NDArray[Any]:
        """The final ids of the group's objects."""
        return self.tables.ids(block.index, closed=self.closed[block.index])

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Nothing is left to do."""
        return loaded

    def store(self, block: Block, result: npt.NDArray[Any]) -> None:
        """Keep them block by block."""
        self.tables.save_lookups(block.index, self.groups.members(block.index), result)
