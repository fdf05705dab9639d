"""From image and label volumes to a model folder: plan_train decides, run_train obeys.

    volumes ──resampled to voxel_nm──> regions in memory ──> sampler ──> loop ──> model folder
                                                                          │
                                        MODEL/training/ centres.json, checkpoint.pt, log.jsonl

Killed at any moment and started again, it ends with the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

import torch

from volproc.engine.ledger import digest
from volproc.engine.recipe import Recipe
from volproc.engine.reporting import report
from volproc.engine.run import Runner
from volproc.errors import ConfigError, ModelError
from volproc.grid.blocks import Block, Tiling
from volproc.grid.scale import parse_voxel_nm
from volproc.model.device import device_for
from volproc.model.unet import UNet, UNetSpec
from volproc.model.weights import (
    Card,
    load_card,
    load_model,
    model_folder,
    save_model,
)
from volproc.stages.claims import remove_left, require_apart, require_free
from volproc.stages.description import Request
from volproc.stages.provenance import (
    write_provenance,
)
from volproc.stages.train.augmented import augmented
from volproc.stages.train.axes import require_large_enough, shares_of
from volproc.stages.train.centre_index import CentreIndex, index_of, require_learnable
from volproc.stages.train.loop import Schedule, Watch, new_state, train
from volproc.stages.train.options import TrainOptions
from volproc.stages.train.pairs import SLAB_VOXELS
from volproc.stages.train.patch_sampler import Sampler, largest_patch
from volproc.stages.train.plan import TrainPlan
from volproc.stages.train.regions import voxel_bytes
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
from volproc.stages.train.validation import Validator
from volproc.volume.access import relative_url
from volproc.volume.metadata import itemsize

__all__ = ["TrainPlan", "plan_train", "run_train", "run_training"]

ALGORITHM = 2
"""Raised by hand when the same volumes and options would give other weights."""
WORKING_BYTES = 32
"""More per voxel of a slab that is being read: its labels, copies, and distances to faces."""
SLABS = 2
"""That are read at a time, their surroundings included."""
CARD_OPTIONS = {
    *("model_out", "start_from", "checkpoint_steps", "validate_steps"),
    *("name", "classes", "trained_on", "licence", "notes"),
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
    spec = UNetSpec(
        options.slices_in,
        options.slices_out,
        options.widths,
        options.stem,
        classes=len(options.classes),
    )
    voxel_nm = parse_voxel_nm(options.voxel_nm)
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
        recipe=Recipe("train", ALGORITHM, {}, {}),
        from_scratch=from_scratch,
    )
    plan = replace(plan, recipe=_recipe(plan), notes=tuple(_notes(plan, sources)))
    return _with_costs(plan)


def _require_possible(sources: Sequence[Source], options: TrainOptions, spec: UNetSpec) -> None:
    if not sources:
        raise ConfigError(
            "[train] images is empty; name at least one image and its labels, or let `volproc run` "
            "train on what [annotate] makes"
        )
    if options.patch % spec.stride:
        raise ConfigError(
            f"[train] patch = {options.patch} is not a multiple of the stride {spec.stride}"
        )


def _recipe(plan: TrainPlan) -> Recipe:
    """All that weights depend on: of the memory that is allowed, how it cuts sources in regions."""
    options, everything = plan.options, (*plan.sources, *plan.validation)
    lasting = options.model_dump(mode="json", exclude=CARD_OPTIONS | VOLUME_OPTIONS)
    targets = [one.model_dump(mode="json") for one in plan.targets]
    urls = [volume.url for source in everything for volume in source.volumes]
    return Recipe(
        "train",
        ALGORITHM,
        {
            "volumes": digest(*(identity_of(s, plan.voxel_nm) for s in everything)),
            "start": _start(options, plan.spec),
        },
        lasting | {"targets": targets, "axes": plan.axes, "region": plan.regions.core},
        places={"volumes": ", ".join(relative_url(url, options.model_out) for url in urls)},
    )


def _with_costs(plan: TrainPlan) -> TrainPlan:
    """The plan with its memory, bytes read and arithmetic."""
    options, regions = plan.options, plan.regions
    # a backward pass costs two forward ones, and activations are stored until then
    passes, side = 3 * options.batch, options.patch
    held_out = sum(image.box.size * voxel_bytes(image) for image in plan.images(plan.validation))
    largest = max(region.read.size for region in regions.all)
    everything = (*plan.sources, *plan.validation)
    stored = sum(prod(v.shape) * itemsize(v.dtype) for s in everything for v in s.volumes)
    return replace(
        plan,
        peak_bytes=regions.most_bytes
        + held_out
        + plan.spec.classes * largest  # where surfaces are
        + WORKING_BYTES * SLABS * min(largest, SLAB_VOXELS)
        + passes * plan.spec.activation_bytes(side, side),
        bytes_read=stored + regions.bytes_read(options.steps * options.batch),
        flop=options.steps * passes * plan.spec.flop(side, side),
    )


def run_training(
    plan: TrainPlan, *, watch: Watch = lambda _: None, overwrite: bool = False
) -> Card:
    """Train, or go on training, and write the model; returns its card.

    A finished model of the same plan is left alone; OutputError where the folder holds anything
    else, unless volproc made it and `overwrite` or the plan's `from_scratch` says that it may go.
    """
    require_apart(plan.claim)
    require_free(plan.claim, overwrite=overwrite, own=plan.from_scratch)
    remove_left(plan.claim)
    card = plan.finished_card() or _made(plan, watch)
    torch.cuda.empty_cache()  # what torch keeps for later, another process may want: predict's
    return card


def _made(plan: TrainPlan, watch: Watch) -> Card:
    options = plan.options
    device = device_for(options.device, table="train")
    regions, index = plan.regions, _index(plan)
    write_provenance(plan.folder, plan.recipe, finished=False, folder=True)
    index.keep()
    sampler = Sampler(
        regions, index, plan.spec, options.patch, options.batch, options.seed, plan.axes
    )
    held_out = [image.read(image.box) for image in plan.images(plan.validation)]
    axes = [axis for axis in range(3) if plan.axes[axis]]
    validator = Validator(held_out, options.classes, axes)
    schedule = Schedule(
        steps=options.steps,
        learning_rate=options.learning_rate,
        border_weight=options.border_weight,
        checkpoint=options.checkpoint_steps,
        validate=options.validate_steps,
    )
    start = partial(new_state, plan.spec, schedule, seed=options.seed, trained=_trained(plan))
    network = train(
        start(device=torch.device(device)),
        schedule,
        batches=lambda step: augmented(sampler.patches(step), plan.spec, seed=options.seed),
        folder=f"{plan.folder}/training",
        key=plan.digest,
        scores=validator if plan.validation else None,
        watch=watch,
        from_scratch=True,  # whether it may go was asked before
    )
    card = save_model(plan.folder, network, plan.card(validator(network)))
    finished = plan.finished_record(card)
    write_provenance(plan.folder, plan.recipe, finished=True, folder=True, **finished)
    return card


def _index(plan: TrainPlan) -> CentreIndex:
    """What is in each region; ConfigError, before anything is written, if nothing can be learnt."""
    regions = plan.regions
    index = index_of(regions, file=f"{plan.folder}/training/centres.json", key=plan.digest)
    require_learnable(index, regions, plan.options.classes)
    return index


def _start(options: TrainOptions, spec: UNetSpec) -> str:
    """Digest of the weights to start from, "" for none; ModelError if they do not fit."""
    if not options.start_from:
        return ""
    card = load_card(model_folder(options.start_from))
    if card.spec != spec:
        raise ModelError(
            f"[train] start_from = {options.start_from!r} is a {card.spec}, the options describe "
            f"a {spec}; give slices_in, slices_out, widths and stem as on its card"
        )
    return card.weights_sha256


def _trained(plan: TrainPlan) -> UNet | None:
    if not plan.options.start_from:
        return None
    network, _ = load_model(model_folder(plan.options.start_from))
    return network if isinstance(network, UNet) else None  # its description was compared before


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
    options = request.table(TrainOptions)
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

    def load(self, block: Block) -> None:
        """Volumes are read by the training itself."""

    def compute(self, block: Block, loaded: None) -> str:
        """The digest of the weights, once the model is in its folder."""

        def watch(done: Mapping[str, Any]) -> None:
            report(done["step"], done["steps"], f"loss {done['loss']:.3f}")

        return run_training(self.plan, watch=watch, overwrite=self.overwrite).weights_sha256

    def store(self, block: Block, result: str) -> dict[str, str]:
        """The digest."""
        return {"weights_sha256": result}


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
    runner.run(replace(step, blocks=whole, task=Train(plan, runner.overwrite)))
    return load_card(plan.folder)
