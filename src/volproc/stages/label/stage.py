"""Plan and run of `label`: mask in, numbered objects and their table out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod

from volproc.engine.protocol import Step
from volproc.engine.recipe import Recipe
from volproc.engine.run import Runner
from volproc.errors import ConfigError, VolumeError
from volproc.grid.blocks import Tiling
from volproc.grid.box import Shape
from volproc.stages.claims import Claim, admit
from volproc.stages.description import Request
from volproc.stages.empty_result import (
    NOTHING,
    empty_result_reason,
    search_in,
)
from volproc.stages.label.component_tasks import WriteLabels
from volproc.stages.label.find_plan import FindPlan
from volproc.stages.label.mask_source import (
    ArraySource,
    ClassMap,
    Source,
    is_class_map,
)
from volproc.stages.label.merge_tables import Tables
from volproc.stages.label.object_search import ALGORITHM, find_objects, plan_find
from volproc.stages.label.options import LabelOptions
from volproc.stages.native_grid import NativePlan, native_volume, run_native
from volproc.stages.output import begin_volume, cutting_of, finish_volume, pyramid_steps
from volproc.volume.access import relative_url
from volproc.volume.file_io import sibling
from volproc.volume.metadata import VolumeInfo, itemsize, volume_like
from volproc.volume.sampling import sampling_to
from volproc.volume.store import Volume
from volproc.volume.written_level import WrittenLevel

PASSING = {"image_grid", "block"}
"""Options that change no object."""
CLASS = {"object_class"}
"""Recipes of before there were classes stay as they were."""
WRITING_BYTES = 4 * 4
"""A voxel's id, and up to 3 times as much while its shard is written."""


@dataclass(frozen=True)
class LabelPlan:
    """Everything decided about a labelling before any voxel is read."""

    find: FindPlan
    output: VolumeInfo
    native: VolumeInfo | None
    recipe: Recipe

    @property
    def claim(self) -> Claim:
        """What the stage reads and writes."""
        volumes = tuple(info for info in (self.output, self.native) if info)
        read = (self.find.source.info.url,) if self.recipe.places else ()
        scratch = (self.find.tables.folder,)
        return Claim(self.recipe, read, volumes, siblings=(self.table,), scratch=scratch)

    @property
    def table(self) -> str:
        """Where the table of objects is written (CSV)."""
        return sibling(self.output.url, ".csv")

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps with their cost."""
        tables = self.find.tables
        native = self.native_plan(tables)
        merged = self.find.merged_as_one
        numbered = self.find.number_step(merged, self.table), self.find.ids_step(merged)
        written = *self.output_steps(tables), *(native.steps if native else ())
        return (*self.find.steps, *numbered, *written)

    def output_steps(self, tables: Tables) -> tuple[Step, ...]:
        """Second pass: final ids of every block; then the coarser levels."""
        find, name = self.find, tables.merge_digest
        voxels = find.blocks[0].core.size
        relabelled = Step(
            name="relabel",
            task=WriteLabels(find.components, tables, Volume(self.output)),
            blocks=find.blocks,
            digest=name,
            writes=(WrittenLevel(self.output),),
            peak_bytes=find.finding_bytes + voxels * WRITING_BYTES,
            bytes_read=prod(find.blocks.shape) * itemsize(find.source.info.dtype),
            bytes_written=prod(self.output.shape) * itemsize(self.output.dtype),
        )
        return (relabelled, *pyramid_steps(self.output, digest=name, name="labels"))

    def native_plan(self, tables: Tables) -> NativePlan | None:
        """The labels on the image's own grid, if requested."""
        if self.native is None:
            return None
        output = replace(self.native, dtype=self.output.dtype)
        transform = sampling_to(self.output, output)
        return NativePlan("label", self.output, output, transform, tables.merge_digest)


@dataclass(frozen=True)
class LabelResult:
    """The result of a labelling. `native` is None unless requested.

    `reasons` is how many objects each option dropped, `largest_dropped_um3` the size of the largest
    one dropped for its size or form.
    """

    labels: Volume
    native: Volume | None
    table: str
    objects: int
    reasons: dict[str, int] = field(default_factory=dict)
    largest_dropped_um3: float = 0.0

    @property
    def why(self) -> str:
        """Why there are no objects; "" where there are some."""
        return str(self.labels.info.provenance.get(NOTHING, ""))

    @property
    def dropped(self) -> int:
        """How many objects were not kept."""
        return sum(self.reasons.values())


def plan_label(
    mask: VolumeInfo,
    url: str,
    options: LabelOptions,
    *,
    native: VolumeInfo | None = None,
    source: Source | None = None,
) -> LabelPlan:
    """Plan blocks and costs for labelling `mask` into `url`.

    `native` is the image whose grid labels are also written on if `options.image_grid`; `source`
    gives the voxels where `mask` is no volume. VolumeError for a mask with channels or off the
    image's grid, ConfigError if `native` is missing.
    """
    output = _labels_like(mask, url, block=options.block)
    find = plan_find(
        source or Volume(mask),
        sibling(url, ".tables"),
        options,
        blocks=Tiling(shape=mask.shape, core=output.write_unit),
    )
    recipe = Recipe(
        "label",
        ALGORITHM,
        {"mask": find.source.fingerprint},
        options.model_dump(exclude=PASSING if options.object_class else {*PASSING, *CLASS}),
        cutting_of(find.blocks.core, output),
        {} if isinstance(find.source, ArraySource) else {"mask": relative_url(mask.url, url)},
    )
    output = output.with_provenance(recipe=recipe.record())
    if options.image_grid and native is None:
        raise ConfigError("[label] image_grid = true needs the image that the labels belong to")
    requested = native_volume(output, native, recipe) if options.image_grid and native else None
    plan = LabelPlan(find, output, requested, recipe)
    plan.native_plan(find.tables)  # VolumeError where the labels do not cover the image
    return plan


def run_label(plan: LabelPlan, runner: Runner) -> LabelResult:
    """The finished labels, numbered in the order of their first voxels, and their table."""
    admit(plan.claim, runner)
    before = plan.find.source.fingerprint
    if isinstance(plan.find.source, ClassMap):
        runner.note(
            f"each voxel counts for the likeliest of {', '.join(plan.find.source.classes)}; "
            "[label] object_class = NAME labels one of them by itself"
        )
    found = find_objects(plan.find, runner)
    tables = found.merged.tables
    plan = replace(plan, output=replace(plan.output, dtype=found.dtype))
    number = plan.find.number_step(found.merged, plan.table)
    filling = (number, *plan.output_steps(tables))
    begun = begin_volume(runner, plan.output, step="label", digest=found.digest, steps=filling)
    plan = replace(plan, output=begun.info)
    relabelled, *pyramid = plan.output_steps(tables)
    for step in (number, plan.find.ids_step(found.merged), relabelled):
        runner.run(step)
    _refuse_changed(plan, before)
    largest = found.largest_dropped * prod(plan.output.voxel_nm) * 1e-9
    record = {} if found.objects else {NOTHING: _why(plan, found.dropped, largest)}
    begun = Volume(begun.info.with_provenance(objects=found.objects, **record))
    labels = finish_volume(runner, begun, pyramid)
    native = replace(plan, output=labels.info).native_plan(tables)
    return LabelResult(
        labels=labels,
        native=run_native(native, runner) if native else None,
        table=plan.table,
        objects=found.objects,
        reasons=found.dropped,
        largest_dropped_um3=largest,
    )


def _why(plan: LabelPlan, dropped: dict[str, int], largest_um3: float) -> str:
    """Why no object is left."""
    options, info = plan.find.options, plan.find.source.info
    masked = options.input == "mask"
    reached = f"reaches the threshold of {options.threshold:g}" if masked else "has a label"
    search = search_in(
        info,
        threshold=options.threshold,
        min_volume_um3=options.min_volume_um3,
        dropped=dropped,
        largest_dropped_um3=largest_um3,
        else_=f"no voxel of {info.url} {reached}",
    )
    return empty_result_reason(search)


def _refuse_changed(plan: LabelPlan, before: str) -> None:
    """VolumeError if the mask has changed: blocks without objects are not read a second time."""
    if plan.find.source.fingerprint != before:
        raise VolumeError(
            f"{plan.find.source.info.url} was rewritten while it was labelled; run the same "
            "command again: it begins with the new one"
        )


def _labels_like(mask: VolumeInfo, url: str, *, block: Shape | None) -> VolumeInfo:
    """The label volume on the mask's grid; a block size that is given becomes its shard."""
    return volume_like(mask, url, dtype="uint32", kind="labels", shards=block)


def plan_from(request: Request) -> LabelPlan:
    """The plan for what a command, a function or a run asks for."""
    options, mask = request.table(LabelOptions), request.volume("mask")
    if request.origins.get("mask") == "interior":  # numbered already
        options = options.model_copy(update={"input": "labels"})
    by_class = options.model_copy(update={"input": "classes"})
    if request.run and options.input == "mask" and is_class_map(mask, by_class):
        options = by_class
    native = request.given("image_grid")
    return plan_label(mask, request.out(), options, native=native)
