"""What sees the objects of the whole volume, as tasks of one block each: a worker does them.

    groups ──open objects──▶ unite ──unions──▶ number ──▶ table of objects, ids of all groups

So the client, which may run on a login node, holds no table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm
from volproc.stages.label.criteria import Criteria
from volproc.stages.label.merge import OpenObjects, Unions, merge_groups, reasons
from volproc.stages.label.merge_tables import PIECE, Tables
from volproc.stages.label.merge_task import MERGE_BYTES, Groups
from volproc.stages.label.object_ids import Numbering
from volproc.stages.objects.statistics import ROW_BYTES
from volproc.stages.objects.table import csv_parts
from volproc.volume.access import exists
from volproc.volume.file_io import write_pieces

ONE_BLOCK = Tiling((1, 1, 1), (1, 1, 1))
PIECE_COPIES = 4
"""Rows of a piece as read, brought together, sorted, and as text."""


@dataclass(frozen=True)
class MergedGroups:
    """What the merge has left on disk: `closed` and `opened` objects in each of the groups."""

    tables: Tables
    groups: Groups
    criteria: Criteria
    closed: tuple[int, ...]
    opened: tuple[int, ...]

    def numbering(self, unions: Unions | None = None) -> Numbering:
        """The objects in order, from their unions; those that lie on disk without."""
        options = self.criteria.options
        return Numbering(
            tables=self.tables,
            groups=self.groups,
            closed=self.closed,
            unions=unions or self.tables.unions(len(self.groups.grid)),
            most=options.largest,
            keep_ids=options.keep_ids,
        )

    @property
    def uniting_bytes(self) -> int:
        """Memory to unite the open objects."""
        return sum(self.opened) * MERGE_BYTES

    @property
    def numbering_bytes(self) -> int:
        """Memory to number all objects: the unions, and a piece of each group of a layer."""
        layer = max(len(groups) for groups, _ in self.groups.layers())
        return (2 * sum(self.opened) + PIECE_COPIES * (layer + 1) * PIECE) * ROW_BYTES


@dataclass(frozen=True)
class UniteGroups:
    """Task: the open objects of all groups, united and judged."""

    merged: MergedGroups

    def load(self, block: Block) -> list[OpenObjects]:
        """The open objects of all groups."""
        return [
            self.merged.tables.open_objects(group) for group in range(len(self.merged.groups.grid))
        ]

    def compute(self, block: Block, loaded: list[OpenObjects]) -> Unions:
        """Their unions."""
        return merge_groups(loaded, criteria=self.merged.criteria)

    def store(self, block: Block, result: Unions) -> dict[str, Any]:
        """Write them; how many objects there are in all, and what was dropped."""
        self.merged.tables.save_unions(result)
        numbering = self.merged.numbering(result)
        return {
            "objects": numbering.objects,
            "too_many": numbering.too_many,
            "dtype": numbering.dtype,
            "dropped": reasons(result.broken),
            "largest_dropped": int(result.objects.voxels[result.broken > 0].max(initial=0)),
        }


@dataclass(frozen=True)
class NumberObjects:
    """Task: the table of all objects, in order; ids of the objects of all groups on the way.

    `values` is the type of the input's values or the names of its classes, where the table has
    them.
    """

    merged: MergedGroups
    table: str
    voxel_nm: VoxelNm
    shape: Shape
    values: str | tuple[str, ...] | None

    def load(self, block: Block) -> Numbering:
        """The unions; all other objects are read as they are written."""
        return self.merged.numbering()

    def compute(self, block: Block, loaded: Numbering) -> Numbering:
        """Nothing: there may be too many objects for one array."""
        return loaded

    def store(self, block: Block, result: Numbering) -> None:
        """Write table and ids."""
        how = {"voxel_nm": self.voxel_nm, "shape": self.shape, "values": self.values}
        write_pieces(self.table, csv_parts(result.rows(), **how))


@dataclass(frozen=True)
class WrittenTable:
    """A table as the output of a step of one block."""

    url: str

    def lost(self, blocks: Iterable[Block]) -> set[int]:
        """The block, if the table is gone."""
        return set() if exists(self.url) else {block.index for block in blocks}
