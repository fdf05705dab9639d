"""From a mask to its objects, before any voxel is written: first pass, merge, ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from volproc.engine.ledger import digest
from volproc.engine.memory import check_memory_here
from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.errors import VolumeError
from volproc.grid.blocks import Tiling
from volproc.stages.label.component_tasks import Components, FindComponents, most_rows
from volproc.stages.label.criteria import Criteria
from volproc.stages.label.mask_source import WHOLE, ClassMap, Source, chosen_source
from volproc.stages.label.merge import merge_groups, reasons
from volproc.stages.label.merge_tables import Tables
from volproc.stages.label.merge_task import (
    MAX_ROWS,
    MERGE_BYTES,
    Groups,
    MergeGroup,
    NumberBlocks,
    groups_of,
)
from volproc.stages.label.object_ids import Numbering
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
    def values(self) -> str | tuple[str, ...] | None:
        """What the table says of the input's values: nothing, the names of classes, or the type of
        the values themselves."""
        if isinstance(self.source, ClassMap):
            return self.source.classes
        return None if self.options.input == "mask" else self.source.info.dtype

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps; with one group, as only the first pass shows how many are needed."""
        groups = groups_of(self.blocks, [0] * len(self.blocks))
        return (
            self.label_step,
            self.merge_step(groups, self.tables),
            self.ids_step(groups, self.tables, closed=(0,)),
        )

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

    def ids_step(self, groups: Groups, tables: Tables, *, closed: tuple[int, ...]) -> Step:
        """Final ids for every block."""
        return Step(
            name="ids",
            task=NumberBlocks(tables, groups, closed),
            blocks=groups.grid,
            digest=tables.merge_digest,
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
    """The numbering of the objects, and how many others each option dropped.

    `digest` names everything that ids depend on, including the voxels of the mask.
    """

    numbering: Numbering
    dropped: dict[str, int]
    largest_dropped: int
    digest: str


def plan_find(source: Source, tables: str, options: LabelOptions, *, blocks: Tiling) -> FindPlan:
    """Plan how objects of `source` are found, block by block; tables go to the folder `tables`.

    VolumeError for a source of a type that no mask has, or of votes; ConfigError where it has
    several classes and none is named.
    """
    source = chosen_source(source, options)
    info = source.info
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
    """Find the objects, or resume. Their ids are written once `numbering.rows` has been read."""
    if not exists(plan.tables.folder):  # removed by hand: the ledger is void
        for step in plan.steps:
            runner.forget(step.name)
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
    merged = runner.run(plan.merge_step(groups, tables))
    open_rows = sum(group.get("open", 0) for group in merged)
    check_memory_here("the merge", open_rows * MERGE_BYTES, way_out="take a larger machine")
    parts = [tables.open_objects(group) for group in range(len(groups.grid))]
    unions = merge_groups(parts, criteria=plan.criteria)
    numbering = Numbering(
        tables=tables,
        groups=groups,
        closed=tuple(group["closed"] for group in merged),
        unions=unions,
        most=plan.options.largest,
        keep_ids=plan.options.keep_ids,
    )
    lost = unions.objects.voxels[unions.broken > 0].max(initial=0)
    return FoundObjects(
        numbering,
        dropped=_dropped(blocks, merged, reasons(unions.broken), numbering.too_many),
        largest_dropped=max(int(lost), *(part["largest_dropped"] for part in (*blocks, *merged))),
        digest=name,
    )


def save_ids(plan: FindPlan, found: FoundObjects, runner: Runner) -> None:
    """Final ids for every block, after those of all groups were saved."""
    of = found.numbering
    runner.run(plan.ids_step(of.groups, of.tables, closed=tuple(of.closed)))


def _dropped(
    blocks: Iterable[Any], groups: Iterable[Any], unions: dict[str, int], too_many: int
) -> dict[str, int]:
    """How many objects each option dropped."""
    total = Counter({"min_volume_um3": sum(block["dropped"] for block in blocks)})
    for part in (*(group["dropped"] for group in groups), unions, {"largest": too_many}):
        total.update(part)
    return {rule: n for rule, n in total.items() if n}
