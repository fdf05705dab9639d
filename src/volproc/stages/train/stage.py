"""From image and label volumes to a model folder: plan_train decides, run_train obeys.

    volumes ──resampled to voxel_nm──> regions in memory ──> sampler ──> loop ──> model folder
                                                                          │
                                        MODEL/training/ centres.json, checkpoint.pt, log.csv

Killed at any moment and started again, it ends with the same weights (on GPUs: see `reproducible`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod

from volproc.engine.ledger import digest
from volproc.engine.recipe import Recipe
from volproc.engine.reporting import report
from volproc.engine.run import Runner
from volproc.errors import ConfigError
from volproc.grid.blocks import Block, Tiling
from volproc.grid.scale import parse_voxel_nm
from volproc.model.model_folder import load_card
from volproc.model.weights import Card, NetworkSpec
from volproc.stages.description import Request
from volproc.stages.train.axes import require_large_enough, shares_of
from volproc.stages.train.bounded_reads import READ_BYTES
from volproc.stages.train.centre_index import counted_apart
from volproc.stages.train.execution import held_out_regions, run_training
from volproc.stages.train.loop import Progress
from volproc.stages.train.network_choice import completed, spec_of
from volproc.stages.train.options import TrainOptions
from volproc.stages.train.pace import pace_in
from volproc.stages.train.pairs import SLAB_VOXELS
from volproc.stages.train.patch_sampler import largest_patch
from volproc.stages.train.plan import TrainPlan
from volproc.stages.train.start import start_of
from volproc.stages.train.training_log import require_tensorboard
from volproc.stages.train.training_sources import (
    Source,
    apart,
    held_out_of,
    identity_of,
    learnt,
    part_of,
    require_fit,
    sources_of,
)
from volproc.volume.access import relative_url
from volproc.volume.metadata import itemsize

__all__ = ["TrainPlan", "plan_train", "run_train", "run_training"]

ALGORITHM = 3
"""Raised by hand when the same volumes and options would give other weights."""
WORKING_BYTES = 32
"""More per voxel of a slab that is being read: its labels, copies, and distances to faces."""
SLABS = 2
"""That are read at a time, their surroundings included."""
CARD_OPTIONS = {
    *("model_out", "start_from", "checkpoint_steps", "tensorboard", "compiled", "processes"),
    *("name", "classes", "trained_on", "licence", "purpose", "limits", "notes", "few"),
}
"""Options that change no weight: a training is resumed though they change."""
VOLUME_OPTIONS = {
    *("images", "labels", "ignore", "agreement", "validation_images", "validation_labels"),
    *("data", "validation", "weights", "margin_nm", "targets", "axes", "cache_gb"),
}
"""Options that name volumes, or that are told by class: what they come to counts."""


def plan_train(
    sources: Sequence[Source],
    options: TrainOptions,
    *,
    validation: Sequence[Source] = (),
    from_scratch: bool = False,
) -> TrainPlan:
    """Check that volumes and network fit, and add up the costs. Reads metadata only."""
    options = completed(options)
    spec = spec_of(options, classes=len(options.classes))
    voxel_nm = parse_voxel_nm(options.voxel_nm)
    start = start_of(options, spec, options.classes, voxel_nm)
    _require_possible(sources, options, spec)
    held_out = tuple(validation)
    kept = apart(sources, held_out, margin_nm=options.margin_nm)
    everything = (*kept, *held_out)
    for source in everything:
        require_fit(source, voxel_nm)
    axes = shares_of(options, [learnt(source, voxel_nm).shape for source in kept])
    require_large_enough(kept, largest_patch(spec, options.patch, axes), voxel_nm)
    plan = TrainPlan(
        options=options,
        sources=kept,
        validation=held_out,
        spec=spec,
        voxel_nm=voxel_nm,
        axes=axes,
        start=start,
        recipe=Recipe("train", ALGORITHM, {}, {}),
        from_scratch=from_scratch,
    )
    changed = start.changed if start else ()
    notes = (*changed, *_notes(plan, sources))
    plan = _with_costs(replace(plan, recipe=_recipe(plan), notes=notes))
    pace = pace_in(plan.folder).seen_by(training=plan.digest, like=plan.like)
    return replace(plan, pace=pace)


def _require_possible(sources: Sequence[Source], options: TrainOptions, spec: NetworkSpec) -> None:
    if not sources:
        raise ConfigError(
            "[train] images is empty; name at least one image and its labels, or let `volproc run` "
            "train on what [annotate] makes"
        )
    if options.patch % spec.stride:
        raise ConfigError(
            f"[train] patch = {options.patch} is not a multiple of the stride {spec.stride}"
        )
    if options.tensorboard:
        require_tensorboard()


def _recipe(plan: TrainPlan) -> Recipe:
    """All that weights depend on: of the memory that is allowed, how it cuts sources in regions."""
    options, everything = plan.options, (*plan.sources, *plan.validation)
    lasting = options.model_dump(mode="json", exclude=CARD_OPTIONS | VOLUME_OPTIONS)
    targets = [one.model_dump(mode="json") for one in plan.targets]
    urls = [volume.url for source in everything for volume in source.volumes]
    apart_by = counted_apart(plan.regions.images)
    return Recipe(
        "train",
        ALGORITHM,
        {
            "volumes": digest(*(identity_of(s, plan.voxel_nm) for s in everything)),
            "start": plan.start.card.weights_sha256 if plan.start else "",
        },
        lasting
        | {"targets": targets, "axes": plan.axes, "region": plan.regions.core}
        # named where it is not all voxels: other trainings stay what they were
        | ({"counted_apart": apart_by} if apart_by > 1 else {}),
        places={"volumes": ", ".join(relative_url(url, options.model_out) for url in urls)},
    )


def _with_costs(plan: TrainPlan) -> TrainPlan:
    """The plan with its memory, bytes read and arithmetic."""
    options, regions = plan.options, plan.regions
    # a backward pass costs two forward ones, and activations are stored until then
    passes, side = 3 * options.batch, options.patch
    held_out = held_out_regions(plan)
    # the last network is validated in any case, then calibrated, and scored for its card
    validations = -(-options.steps // options.validate_steps) + 1 + options.calibrate
    largest = max(region.read.size for region in regions.all)
    everything = (*plan.sources, *plan.validation)
    volumes = [prod(v.shape) * itemsize(v.dtype) for s in everything for v in s.volumes]
    # where surfaces are, and slabs with what they are sampled from
    reading = plan.spec.classes * largest + SLABS * (
        WORKING_BYTES * min(largest, SLAB_VOXELS) + min(READ_BYTES, max(volumes))
    )
    return replace(
        plan,
        peak_bytes=max(1, options.processes) * (regions.most_bytes + reading)
        + max(
            [passes * plan.spec.activation_bytes(side, side), *(one.peak_bytes for one in held_out)]
        ),
        bytes_read=sum(volumes) + regions.bytes_read(options.steps * options.batch),
        flop=options.steps * passes * plan.spec.flop(side, side)
        + validations * sum(one.flop for one in held_out),
    )


def _notes(plan: TrainPlan, asked: Sequence[Source]) -> Iterator[str]:
    for source in (*plan.sources, *plan.validation):
        if part := part_of(source, plan.voxel_nm):
            nm = " x ".join(f"{v:g}" for v in dict.fromkeys(plan.voxel_nm))
            yield (
                f"of {source.image.url}, voxels {part} at {nm} nm are used: all of its "
                "volumes overlap there"
            )
    for before, after in zip(asked, plan.sources, strict=True):
        if before.box != after.box:
            yield f"of {after.image.url}, voxels {after.box} are trained on: beside those held out"
    if plan.options.axes == "auto":
        yield f"patches are viewed along {plan.axes_trained} ([train] axes = auto)"


def plan_from(request: Request) -> TrainPlan:
    """The plan for what a command, a function or a run asks for."""
    options = completed(request.table(TrainOptions))
    return plan_train(
        sources_of(options, request.opened),
        options,
        validation=held_out_of(options, request.opened),
        from_scratch=bool(request.run) and options.model_out == request.run.path("model"),
    )


@dataclass(frozen=True)
class Train:
    """Task: the whole training, in one process that has all cores of its job, or a GPU."""

    plan: TrainPlan
    overwrite: bool
    until: float = math.inf
    """Unix time from which no step of the optimiser is begun."""

    def load(self, block: Block) -> None:
        """Volumes are read by the training itself."""

    def compute(self, block: Block, loaded: None) -> str:
        """The digest of the weights, once the model is in its folder."""
        watch = partial(_report, self.plan.options.best_by)
        card = run_training(
            self.plan,
            watch=watch,
            overwrite=self.overwrite,
            is_over=lambda: time.time() >= self.until,
        )
        return card.weights_sha256

    def store(self, block: Block, result: str) -> dict[str, str]:
        """The digest."""
        return {"weights_sha256": result}


def _report(best_by: str, now: Progress) -> None:
    """Say how far the training is."""
    best = "" if now.score is None else f", best {best_by} {now.score:.3f}"
    report(now.step, now.steps, f"loss {now.loss:.3f}{best}, {now.speed:.3g} patches/s")


def run_train(plan: TrainPlan, runner: Runner) -> Card:
    """The card of the finished model; a training that was killed goes on from its checkpoint."""
    for note in plan.notes:
        runner.note(note)
    if plan.claim.state == "other" and not runner.own:
        runner.note(f"{plan.options.model_out} is remade: {plan.claim.why}")
    if card := plan.finished_card():
        return card
    (step,) = plan.steps
    runner.forget(step.name)  # its own checkpoint says how far it is
    shape = step.blocks[len(step.blocks) - 1].core.stop
    whole = Tiling(shape, shape)
    task = Train(plan, runner.overwrite, runner.until)
    runner.run(replace(step, blocks=whole, recorded=0, task=task))
    return load_card(plan.folder)
