"""The plan of a search for objects: its steps, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from volproc.engine.protocol import Step
from volproc.grid.blocks import Tiling
from volproc.stages.label.component_tasks import Components, FindComponents, most_rows
from volproc.stages.label.criteria import Criteria
from volproc.stages.label.mask_source import ClassMap, Source
from volproc.stages.label.merge_tables import Tables
from volproc.stages.label.merge_task import (
    MAX_ROWS,
    MERGE_BYTES,
    Groups,
    MergeGroup,
    NumberBlocks,
    groups_of,
)
from volproc.stages.label.object_tasks import (
    ONE_BLOCK,
    MergedGroups,
    NumberObjects,
    UniteGroups,
    WrittenTable,
)
from volproc.stages.label.options import LabelOptions
from volproc.stages.objects.components import most_components
from volproc.stages.objects.runs import most_bytes
from volproc.stages.objects.statistics import ROW_BYTES
from volproc.volume.metadata import itemsize

FOREGROUND_BYTES = 1
COMPONENT_BYTES = 13
"""Per component that a block may hold: its size, flags and row."""
ROW_COPIES = 3
"""Rows of a block as found, sorted into two tables, and on their way to disk."""

LARGER = "take workers with more memory ([cluster] worker_memory_gb, [cluster.cpu] memory_gb)"
"""The way out where objects of the whole volume need too much."""
NUMBER, IDS = "number", "ids"


@dataclass(frozen=True)
class FindPlan:
    """Everything decided about finding the objects of a mask."""

    source: Source
    blocks: Tiling
    options: LabelOptions
    tables: Tables
    level: float
    most_rows: int = MAX_ROWS
    """Components that are merged at once, see `groups_of`."""

    @property
    def components(self) -> Components:
        """How a block's components are found."""
        options = self.options
        return Components(self.source, self.level, options.connectivity, options.input)

    @property
    def values(self) -> str | tuple[str, ...] | None:
        """What the table says of the input's values: nothing, the names of classes, or the type of
        the values themselves."""
        if isinstance(self.source, ClassMap):
            return self.source.classes
        return None if self.options.input == "mask" else self.source.info.dtype

    @property
    def criteria(self) -> Criteria:
        """Which objects are kept."""
        return Criteria(self.options, self.source.info.shape, self.source.info.voxel_nm)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that find objects, as far as they can be planned."""
        merged = self.merged_as_one
        return (
            self.label_step,
            self.merge_step(merged.groups, self.tables),
            self.unite_step(merged),
        )

    @property
    def merged_as_one(self) -> MergedGroups:
        """One group of all blocks: only the first pass shows how many are needed."""
        groups = groups_of(self.blocks, [0] * len(self.blocks))
        return MergedGroups(self.tables, groups, self.criteria, closed=(0,), opened=(0,))

    @property
    def label_step(self) -> Step:
        """First pass: components of every block, for the merge."""
        return Step(
            name="label",
            task=FindComponents(self.components, self.tables, self.blocks, self.criteria),
            blocks=self.blocks,
            digest=self.tables.digest,
            peak_bytes=self.finding_bytes + self.rows_of_a_block * ROW_BYTES * ROW_COPIES,
            bytes_read=prod(self.blocks.shape) * itemsize(self.source.info.dtype),
            bytes_written=self._border_voxels,
        )

    def merge_step(self, groups: Groups, tables: Tables) -> Step:
        """Objects of groups of blocks."""
        return Step(
            name="merge",
            task=MergeGroup(tables, groups, self.criteria),
            blocks=groups.grid,
            digest=tables.merge_digest,
            peak_bytes=self._rows_of_a_group * MERGE_BYTES,
            bytes_read=self._border_voxels,
        )

    def unite_step(self, merged: MergedGroups) -> Step:
        """Objects that go on beyond their groups."""
        return Step(
            name="unite",
            task=UniteGroups(merged),
            blocks=ONE_BLOCK,
            digest=merged.tables.merge_digest,
            peak_bytes=merged.uniting_bytes,
            alone=True,
            way_out=LARGER,
        )

    def number_step(self, merged: MergedGroups, table: str) -> Step:
        """The table of objects, and the ids of the objects of all groups."""
        info = self.source.info
        return Step(
            name=NUMBER,
            task=NumberObjects(merged, table, info.voxel_nm, info.shape, self.values),
            blocks=ONE_BLOCK,
            digest=merged.tables.merge_digest,
            peak_bytes=merged.numbering_bytes,
            alone=True,
            way_out=LARGER,
            writes=(WrittenTable(table),),
        )

    def ids_step(self, merged: MergedGroups) -> Step:
        """Final ids for every block, once all objects have theirs."""
        return Step(
            name=IDS,
            task=NumberBlocks(merged.tables, merged.groups, merged.closed),
            blocks=merged.groups.grid,
            digest=merged.tables.merge_digest,
            peak_bytes=self._rows_of_a_group * ROW_BYTES,
        )

    @property
    def finding_bytes(self) -> int:
        """Memory to find a block's components, the block itself included."""
        core, value_bytes = self.blocks[0].core, itemsize(self.source.info.dtype)
        classes, equal = self.options.input != "mask", self.options.input == "labels"
        runs = most_bytes(
            core.shape,
            value_bytes=value_bytes if classes else FOREGROUND_BYTES,
            classes=classes,
            equal=equal,
        )
        how: Any = {"connectivity": self.options.connectivity, "classes": classes}
        found = most_components(core.shape, **how)
        return core.size * (value_bytes + FOREGROUND_BYTES) + runs + found * COMPONENT_BYTES

    @property
    def rows_of_a_block(self) -> int:
        """The most components that a block reports to the merge."""
        return most_rows(
            self.blocks[0].core.shape,
            minimum=self.criteria.minimum,
            connectivity=self.options.connectivity,
            input=self.options.input,
        )

    @property
    def _rows_of_a_group(self) -> int:
        one = self.rows_of_a_block
        return max(one, min(self.most_rows, one * len(self.blocks)))

    @property
    def _border_voxels(self) -> int:
        """Both sides of all faces between blocks, at one byte a voxel before compression."""
        shape, counts = self.blocks.shape, self.blocks.counts
        return sum(2 * (n - 1) * prod(shape) // size for n, size in zip(counts, shape, strict=True))
