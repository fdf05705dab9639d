"""From a mask to its objects, before any voxel is written: first pass, merge, ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from volproc.engine.ledger import digest
from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.errors import VolumeError
from volproc.grid.blocks import Tiling
from volproc.stages.label.component_tasks import Components, FindComponents, most_rows
from volproc.stages.label.criteria import Criteria
from volproc.stages.label.mask_source import WHOLE, Source
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
from volproc.stages.objects.statistics import ROW_BYTES
from volproc.volume.access import exists
from volproc.volume.kinds import foreground_level, refuse_classes
from volproc.volume.metadata import itemsize

ALGORITHM = 1
"""Raised by hand when the same mask and options would give other objects."""
FOREGROUND_BYTES = 1
LABEL_BYTES = 4
COMPONENT_BYTES = 8 + 13
"""Per component that a block may hold: in cc3d's two tables, then its size, flags and row."""
ROW_COPIES = 3
"""Rows of a block as found, sorted into two tables, and on their way to disk."""

LARGER = "take workers with more memory ([cluster] worker_memory_gb, [cluster.cpu] memory_gb)"
"""The way out where objects of the whole volume need too much."""
NUMBER, IDS = "number", "ids"
MAX_LOCAL_IDS = 2**32
"""Ids within a block are uint32; those of the volume become uint64 where they must."""


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
        values = None if self.options.input == "mask" else info.dtype
        return Step(
            name=NUMBER,
            task=NumberObjects(merged, table, info.voxel_nm, info.shape, values),
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
        voxels = self.blocks[0].core.size
        per_voxel = itemsize(self.source.info.dtype) + FOREGROUND_BYTES + LABEL_BYTES
        classes = self.options.input != "mask"
        how: Any = {"connectivity": self.options.connectivity, "classes": classes}
        found = most_components(self.blocks[0].core.shape, **how)
        return voxels * per_voxel + found * COMPONENT_BYTES

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


@dataclass(frozen=True)
class FoundObjects:
    """How many objects there are and of which type their ids, and how many others each option
    dropped. The objects themselves are on disk, `merged`.
    """

    merged: MergedGroups
    objects: int
    dtype: str
    dropped: dict[str, int]
    largest_dropped: int

    @property
    def digest(self) -> str:
        """Names everything that ids depend on, the voxels of the mask included."""
        return self.merged.tables.merge_digest


def plan_find(source: Source, tables: str, options: LabelOptions, *, blocks: Tiling) -> FindPlan:
    """Plan how objects of `source` are found, block by block; tables go to the folder `tables`.

    VolumeError for a source with channels or of a type that no mask has.
    """
    info = source.info
    if info.channels:
        raise VolumeError(
            f"{info.url} has channels ({', '.join(info.channels)}); label needs one value per "
            "voxel: take the fused prediction"
        )
    if options.input != "mask" and info.dtype not in WHOLE:
        raise VolumeError(
            f"{info.url} holds {info.dtype}; [label] input = '{options.input}' needs whole numbers"
        )
    if blocks[0].core.size >= MAX_LOCAL_IDS:
        raise VolumeError(
            f"a block of {blocks.core} voxels may hold more components than the "
            f"{MAX_LOCAL_IDS - 1} that have ids in it; make [label] block smaller"
        )
    kept = {"input", "connectivity", "threshold", "min_volume_um3"}
    name = digest(
        "find", ALGORITHM, source.fingerprint, options.model_dump(include=kept), blocks.core
    )
    return FindPlan(
        source=source,
        blocks=blocks,
        options=options,
        tables=Tables(tables, name),
        level=foreground_level(info, threshold=options.threshold),
    )


def find_objects(plan: FindPlan, runner: Runner) -> FoundObjects:
    """Find the objects, or resume; they have no ids yet."""
    if not exists(plan.tables.folder):  # removed by hand: the ledger is void
        for name in (*(step.name for step in plan.steps), NUMBER, IDS):
            runner.forget(name)
    blocks = runner.run(plan.label_step)
    highest = 0 if any(b["components"] for b in blocks) else max(b["highest"] for b in blocks)
    refuse_classes(plan.source.info, level=plan.level, highest=highest, option="[label] threshold")
    groups = groups_of(plan.blocks, [block["rows"] for block in blocks], most=plan.most_rows)
    name = digest(
        plan.tables.digest,
        [block["content"] for block in blocks],
        plan.options.model_dump(exclude={"image_grid", "block"}),
        groups.grid.core,
    )
    tables = replace(plan.tables, merge_digest=name)
    records = runner.run(plan.merge_step(groups, tables))
    merged = MergedGroups(
        tables,
        groups,
        plan.criteria,
        closed=tuple(group["closed"] for group in records),
        opened=tuple(group["open"] for group in records),
    )
    (united,) = runner.run(plan.unite_step(merged))
    dropped = (*(one["dropped"] for one in (*records, united)), {"largest": united["too_many"]})
    return FoundObjects(
        merged,
        objects=united["objects"],
        dtype=united["dtype"],
        dropped=_dropped(blocks, dropped),
        largest_dropped=max(part["largest_dropped"] for part in (*blocks, *records, united)),
    )


def _dropped(blocks: Iterable[Any], others: Iterable[dict[str, int]]) -> dict[str, int]:
    """How many objects each option dropped."""
    total = Counter({"min_volume_um3": sum(block["dropped"] for block in blocks)})
    for part in others:
        total.update(part)
    return {rule: n for rule, n in total.items() if n}
