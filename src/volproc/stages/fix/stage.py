"""Plan and run of `fix`: labels and a log of edits in, edited labels and their table out.

The labels are never changed. The edited volume is theirs block by block, relabelled; when edits
come or go, only blocks in their boxes are looked at again, and only those that change are written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from volproc.engine.ledger import digest
from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.engine.run import Runner
from volproc.errors import ConfigError, VolumeError
from volproc.grid.blocks import Tiling
from volproc.stages.claims import Claim, admit
from volproc.stages.description import Request
from volproc.stages.edits.edit import Edit
from volproc.stages.edits.edit_log import NAME, EditLog, read_edit_log
from volproc.stages.edits.edit_session import edited_dtype
from volproc.stages.edits.history import (
    History,
    belongs_to,
    forget_note,
    noted,
    stale_blocks,
)
from volproc.stages.edits.object_classes import classes_in
from volproc.stages.fix.options import FixOptions
from volproc.stages.fix.tasks import BlockObjects, CoarsenChanged, EditBlock
from volproc.stages.objects.table import csv_parts
from volproc.stages.output import begin_volume, cutting_of, finish_volume, pyramid_steps
from volproc.volume.access import relative_url
from volproc.volume.creation import holds_arrays_of, provenance_of, update_provenance
from volproc.volume.file_io import sibling, write_pieces
from volproc.volume.fingerprint import fingerprint, forget_content
from volproc.volume.metadata import VolumeInfo, itemsize, volume_like
from volproc.volume.store import Volume
from volproc.volume.written_level import WrittenLevel

ALGORITHM = 1
"""Raised by hand when the same labels and edits would give other labels."""
WORKING_BYTES = 20
"""Per voxel: ids before and after, masks of an edit, the distance of a stroke, statistics."""


@dataclass(frozen=True)
class FixPlan:
    """Everything decided about edited labels before a voxel is read."""

    labels: VolumeInfo
    output: VolumeInfo
    history: History
    recipe: Recipe
    lineage: str
    """Names all that the output depends on but the edits."""
    fresh: bool = True
    doubtful: tuple[Edit, ...] = ()

    @property
    def claim(self) -> Claim:
        """What it reads and writes."""
        return Claim(
            self.recipe,
            (self.labels.url, self.history.log.url),
            (self.output,),
            siblings=(self.table,),
            scratch=(self.found.folder,),
        )

    @property
    def table(self) -> str:
        """Where the table of objects is written (CSV)."""
        return sibling(self.output.url, ".csv")

    @property
    def found(self) -> BlockObjects:
        """What blocks know of their objects."""
        return BlockObjects(sibling(self.output.url, ".parts"), self.lineage)

    @property
    def blocks(self) -> Tiling:
        """Shards of the output."""
        return Tiling(self.output.shape, self.output.write_unit)

    @property
    def step(self) -> Step:
        """The step that applies the edits."""
        history, core = self.history, self.blocks[0].core
        largest = max((e.box.size for e in history.log.active if e.part_boxes), default=0)
        stored = itemsize(self.output.dtype)
        task = EditBlock(
            *(Volume(self.labels), Volume(self.output), history.log.url, history.log.id),
            *(history.numbers, self.found, self.fresh),
        )
        return Step(
            name="fix",
            task=task,
            blocks=self.blocks,
            digest=self.lineage,
            writes=(
                WrittenLevel(self.output),
                stale_blocks(self.blocks, self.doubtful, self.output.levels[0]),
            ),
            peak_bytes=core.size * (5 * stored + WORKING_BYTES) + largest,
            bytes_read=prod(self.output.shape) * itemsize(self.labels.dtype),
            bytes_written=prod(self.output.shape) * stored,
        )

    @property
    def pyramid(self) -> tuple[Step, ...]:
        """The coarser levels."""
        steps = pyramid_steps(self.output, digest=self.lineage, name="edited labels")
        finest = self.output.levels[0]
        return tuple(
            replace(
                step,
                task=CoarsenChanged(Volume(self.output), number, self.fresh),
                writes=(
                    *step.writes,
                    stale_blocks(
                        Tiling(level.shape, level.shards), self.doubtful, finest, level=level
                    ),
                ),
            )
            for number, (step, level) in enumerate(
                zip(steps, self.output.levels[1:], strict=True), start=1
            )
        )

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, with what they cost."""
        return (self.step, *self.pyramid)


@dataclass(frozen=True)
class FixResult:
    """The edited labels, their table, how many edits count, and how many blocks were written."""

    labels: Volume
    table: str
    objects: int
    edits: int
    written: int


def plan_fix(labels: VolumeInfo, url: str, log: EditLog, options: FixOptions) -> FixPlan:
    """Decide how the edits of `log` are applied to `labels`, into `url`.

    ConfigError where they are edits of other labels, VolumeError for what are no labels.
    """
    if labels.kind != "labels":
        raise VolumeError(f"{labels.url} holds no labels; edits are of objects: `volproc label`")
    log.require_made_for(labels)
    if not log.head:
        raise ConfigError(f"{log.url} has no edits; `volproc fix RUN --edits FILE` records some")
    dtype = edited_dtype(labels, log.largest)
    if options.block:
        output = volume_like(labels, url, dtype=dtype, kind="labels", shards=options.block)
    else:  # level by level as the labels, so that what was measured of them still counts
        part = {"part": True} if labels.is_part else {}
        output = replace(labels, url=url, dtype=dtype, provenance=part)
    base = fingerprint(labels)
    recipe = Recipe(
        "fix",
        ALGORITHM,
        {"labels": base, "edits": log.digest},
        {},
        cutting_of(output.write_unit, output),
        {"labels": relative_url(labels.url, url), "edits": relative_url(log.url, url)},
    )
    lineage = digest(ALGORITHM, base, log.id, dtype, recipe.cutting)
    output = output.with_provenance(
        recipe=recipe.record(), lineage=lineage, edits=log.numbers, edits_id=log.id
    )
    return FixPlan(labels, output, History(log, log.numbers, base), recipe, lineage)


def run_fix(plan: FixPlan, runner: Runner) -> FixResult:
    """The edited labels and their table."""
    admit(plan.claim, runner)
    note = f"{runner.records}/edits-of-{plan.output.url.rstrip('/').rpartition('/')[2]}.json"
    plan = _begun(plan, runner, note)
    records = runner.run(plan.step)
    ids, objects = plan.found.all(len(plan.blocks))
    voxel_nm, shape = plan.output.voxel_nm, plan.output.shape
    classes = classes_in(sibling(plan.labels.url, ".csv")).after(plan.history.log.active)
    objects, values = classes.put_into(objects, ids)
    rows = csv_parts([(ids, objects)], voxel_nm=voxel_nm, shape=shape, values=values)
    write_pieces(plan.table, rows)
    begun = Volume(plan.output.with_provenance(objects=len(ids)))
    labels = finish_volume(runner, begun, plan.pyramid)
    plan.history.note_done(note)
    stale = {*plan.step.writes[1].lost(plan.blocks)} if not plan.fresh else {*range(len(records))}
    written = sum(records[n]["written"] for n in stale)
    return FixResult(labels, plan.table, len(ids), len(plan.history.numbers), written)


def _begun(plan: FixPlan, runner: Runner, note: str) -> FixPlan:
    """The plan, once it is known what of the output is there, and its metadata say what comes.

    An output of the same labels is gone on with whatever its edits were.
    """
    there = provenance_of(plan.output.url)
    same = (
        there.get("lineage") == plan.lineage
        and there.get("digest") != "being created"
        and belongs_to(note, plan.history)
        and holds_arrays_of(plan.output)
    )
    if not same:
        forget_note(note)
        for step in plan.steps:
            runner.forget(step.name)
    fresh = noted(note).get("has") is None or _lost(plan)
    plan = replace(plan, fresh=fresh, doubtful=plan.history.doubtful(note))
    if same and (plan.doubtful or there.get("digest") != plan.recipe.digest):
        forget_content(str(runner.records), plan.output.url)
        names = ("recipe", "edits", "edits_id")
        record = {name: plan.output.provenance[name] for name in names}
        update_provenance(plan.output.url, finished=False, digest=plan.recipe.digest, **record)
    begun = begin_volume(
        runner, plan.output, step="fix", digest=plan.recipe.digest, steps=plan.steps
    )
    return replace(plan, output=begun.info)


def _lost(plan: FixPlan) -> bool:
    """Whether a file of a level is missing."""
    tilings = [Tiling(level.shape, level.shards) for level in plan.output.levels]
    return any(
        WrittenLevel(plan.output, number).lost(tiling) for number, tiling in enumerate(tilings)
    )


def plan_from(request: Request) -> FixPlan:
    """The plan for a run's folder: the edits lie beside the output."""
    url = request.out()
    folder = url.rstrip("/").rpartition("/")[0]
    log = read_edit_log(f"{folder}/{NAME}")
    return plan_fix(request.volume("labels"), url, log, request.table(FixOptions))
