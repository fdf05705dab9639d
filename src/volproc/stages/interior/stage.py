"""Plan and run of `interior`: an envelope in, numbered nuclei out, each with its envelope."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.stages.array_namespace import require_device
from volproc.stages.claims import admit
from volproc.stages.description import Request
from volproc.stages.empty_result import NOTHING, empty_result_reason, search_in
from volproc.stages.interior.labelling import Labelled, Labelling, Planned
from volproc.stages.interior.leak_test import joined_faces, stored_faces, verdict_of
from volproc.stages.interior.options import InteriorOptions
from volproc.stages.interior.plan import InteriorPlan, named, volume_like
from volproc.stages.interior.tasks import Envelope
from volproc.stages.output import begin_volume, finish_volume
from volproc.volume.access import exists
from volproc.volume.channels import one_class
from volproc.volume.fingerprint import fingerprint
from volproc.volume.kinds import foreground_level, refuse_classes
from volproc.volume.metadata import VolumeInfo
from volproc.volume.metadata_reader import read_info
from volproc.volume.store import Volume, is_begun


def plan_interior(
    envelope: VolumeInfo,
    url: str,
    options: InteriorOptions,
    *,
    labelling: Labelling,
) -> InteriorPlan:
    """Decide how the nuclei that `envelope` encloses are found and written to `url`.

    VolumeError for votes or a type that is no mask, ConfigError where one of several classes has to
    be named, or where there is no GPU that was asked for.
    """
    envelope = one_class(envelope, options.object_class, option="[interior] object_class")
    level = foreground_level(envelope, threshold=options.threshold)
    require_device(options.device, table="interior")
    plan = InteriorPlan(
        envelope=Envelope(Volume(envelope), level),
        output=volume_like(envelope, url, "uint32", options, levels=12),
        options=options,
        labelling=labelling,
        fingerprint=fingerprint(envelope),
    )
    return replace(plan, output=plan.output.with_provenance(recipe=plan.recipe.record()))


def run_interior(plan: InteriorPlan, runner: Runner) -> Volume:
    """The finished nuclei, numbered in the order of their interiors' first voxels."""
    admit(plan.claim, runner)
    if is_begun(plan.output, digest=plan.digest):
        done = read_info(plan.output.url)
        if done.provenance.get("finished"):
            return Volume(done)
    regions = tuple(_regions(plan, axis, runner) for axis in plan.axes)
    inside = _made(runner, plan.part("inside", "uint8"), partial(plan.inside_step, regions))
    found = _numbered(plan, plan.nucleus_numbering(inside), "interiors", runner)
    interiors = found.labels
    plan = replace(plan, output=replace(plan.output, dtype=interiors.info.dtype))
    steps = plan.output_steps(interiors)
    begun = begin_volume(runner, plan.output, step="interior", digest=plan.digest, steps=steps)
    nuclei, *pyramid = replace(plan, output=begun.info).output_steps(interiors)
    runner.run(nuclei)
    why = {} if found.objects else {NOTHING: _why(plan, found)}
    begun = Volume(begun.info.with_provenance(objects=found.objects, **why))
    return finish_volume(runner, begun, pyramid)


def _why(plan: InteriorPlan, found: Labelled) -> str:
    """Why there are no nuclei."""
    options, info = plan.options, plan.source
    search = search_in(
        info,
        threshold=options.threshold,
        min_volume_um3=options.min_volume_um3,
        dropped=found.reasons,
        largest_dropped_um3=found.largest_dropped_um3,
        else_=f"nothing at or above the threshold of {options.threshold:g} in {info.url} encloses "
        "anything; envelopes with holes need a larger gap_nm, those cut by the volume's border a "
        "larger open_share",
    )
    return empty_result_reason(search, what="no nuclei")


def _regions(plan: InteriorPlan, axis: int | None, runner: Runner) -> Volume:
    """The numbered regions, judged."""
    info = plan.part(named("regions", axis), "uint8")
    regions = _made(runner, info, partial(plan.regions_step, axis), partial(_refuse_misread, plan))
    numbering = plan.region_numbering(axis, regions)
    numbered = _numbered(plan, numbering, named("numbered", axis), runner)
    step = plan.faces_step(axis, numbered.labels)
    folder = plan.place(step.name)
    if not exists(folder):  # removed by hand: the record of them is void
        runner.forget(step.name)
    runner.run(step)
    parts = stored_faces(folder, plan.faces_digest(axis), step.blocks)
    faces = joined_faces(parts, count=numbered.objects)
    verdict = verdict_of(faces, options=plan.options, voxel_nm=info.voxel_nm, axis=axis)
    plan.verdict(axis).save(verdict)
    return numbered.labels


def _made(
    runner: Runner,
    info: VolumeInfo,
    step_into: Callable[[Volume], Step],
    check: Callable[[Sequence[Any]], None] = lambda _: None,
) -> Volume:
    """A part, made by one step, whose records `check` may refuse."""
    step = step_into(Volume(info))
    begun = begin_volume(runner, info, step=step.name, digest=step.digest, steps=[step])
    check(runner.run(step_into(begun)))
    return finish_volume(runner, begun, ())


def _refuse_misread(plan: InteriorPlan, records: Sequence[Any]) -> None:
    """A mask of 0 and 1 read as probabilities has no envelope: all would be inside of nothing."""
    highest = [record["highest"] for record in records]
    if -1 not in highest:
        info, option = plan.source, "[interior] threshold"
        refuse_classes(info, level=plan.envelope.level, highest=max(highest), option=option)


def _numbered(plan: InteriorPlan, chosen: Planned, name: str, runner: Runner) -> Labelled:
    """A part labelled, with records of its own: its steps have the names of those of `label`."""
    records = f"{runner.records}/{name}"
    inner = replace(runner, records=records, own=True, overwrite=True)  # a part is nobody's result
    return plan.labelling.run(chosen, inner)


def plan_from(request: Request) -> InteriorPlan:
    """The plan for what a command, a function or a run asks for."""
    return plan_interior(
        request.volume("envelope"),
        request.out(),
        request.table(InteriorOptions),
        labelling=Labelling(request.stages["label"]),
    )
