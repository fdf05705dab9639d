"""From a mask to its objects, before any voxel is written: first pass, merge, unions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from volproc.engine.ledger import digest
from volproc.engine.run import Runner
from volproc.errors import VolumeError
from volproc.grid.blocks import Tiling
from volproc.stages.label.find_plan import IDS, NUMBER, FindPlan
from volproc.stages.label.mask_source import WHOLE, Source, chosen_source
from volproc.stages.label.merge_tables import Tables
from volproc.stages.label.merge_task import groups_of
from volproc.stages.label.object_tasks import MergedGroups
from volproc.stages.label.options import LabelOptions
from volproc.volume.access import exists
from volproc.volume.kinds import foreground_level, refuse_classes

ALGORITHM = 1
"""Raised by hand when the same mask and options would give other objects."""
MAX_LOCAL_IDS = 2**32
"""Ids within a block are uint32; those of the volume become uint64 where they must."""


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
