"""From image and label volumes to a model folder: plan_train decides, run_train obeys.

    volumes ──resampled to voxel_nm──> pairs in memory ──> sampler ──> loop ──> model folder
                                                                        │
                                                     MODEL/training/ checkpoint.pt, log.jsonl

Killed at any moment and started again, it ends with the same weights.
"""

from __future__ import annotations

import math
import time
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
from volproc.grid.scale import VoxelNm, parse_voxel_nm
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
from volproc.stages.train.loop import Schedule, Watch, new_state, train
from volproc.stages.train.options import TrainOptions
from volproc.stages.train.pairs import load_pair, require_foreground
from volproc.stages.train.patch_sampler import Sampler
from volproc.stages.train.plan import TrainPlan
from volproc.stages.train.training_sources import (
    Source,
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

ALGORITHM = 1
"""Raised by hand when the same volumes and options would give other weights."""
KEPT_BYTES = 1
"""Per voxel of the model's grid, of each volume of a source."""
WORKING_BYTES = 4
"""More per voxel of the source being read: copies, and the search for surfaces."""
CARD_OPTIONS = {
    *("model_out", "start_from", "checkpoint_steps", "validate_steps"),
    *("name", "object_name", "trained_on", "licence", "notes"),
}
"""Options that change no weight: a training is resumed though they change."""
VOLUME_OPTIONS = {
    *("images", "labels", "ignore", "agreement", "validation_images", "validation_labels"),
}
"""Options that name volumes: their fingerprints count, not their URLs."""


def plan_train(
    sources: Sequence[Source],
    options: TrainOptions,
    *,
    validation: Sequence[Source] = (),
    from_scratch: bool = False,
) -> TrainPlan:
    """Check that volumes and network fit, and add up the costs. Reads metadata only."""
    spec = UNetSpec(options.slices_in, options.slices_out, options.widths, options.stem)
    voxel_nm = parse_voxel_nm((options.voxel_nm,) * 3)
    if not sources:
        raise ConfigError(
            "[train] images is empty; name at least one image and its labels, or let `volproc run` "
            "train on what [annotate] makes"
        )
    if options.patch % spec.stride:
        raise ConfigError(
            f"[train] patch = {options.patch} is not a multiple of the stride {spec.stride}"
        )
    everything = (*sources, *validation)
    urls = [volume.url for source in everything for volume in source.volumes]
    for source in everything:
        require_fit(source, voxel_nm)
    grids = [learnt(source, voxel_nm).size for source in everything]
    kept = sum(n * len(s.volumes) for n, s in zip(grids, everything, strict=True))
    # a backward pass costs two forward ones, and activations are stored until then
    passes = 3 * options.batch
    side = options.patch
    lasting = options.model_dump(mode="json", exclude=CARD_OPTIONS | VOLUME_OPTIONS)
    return TrainPlan(
        options=options,
        sources=tuple(sources),
        validation=tuple(validation),
        spec=spec,
        voxel_nm=voxel_nm,
        recipe=Recipe(
            "train",
            ALGORITHM,
            {
                "volumes": digest(*(identity_of(s, voxel_nm) for s in everything)),
                "start": _start(options, spec),
            },
            lasting,
            places={"volumes": ", ".join(relative_url(url, options.model_out) for url in urls)},
        ),
        peak_bytes=KEPT_BYTES * kept
        + WORKING_BYTES * max(grids)
        + passes * spec.activation_bytes(side, side),
        bytes_read=sum(prod(v.shape) * itemsize(v.dtype) for s in everything for v in s.volumes),
        flop=options.steps * passes * spec.flop(side, side),
        from_scratch=from_scratch,
        notes=tuple(_notes(everything, voxel_nm)),
    )


def run_training(
    plan: TrainPlan,
    *,
    watch: Watch = lambda _: None,
    overwrite: bool = False,
    until: float = math.inf,
) -> Card:
    """Train, or go on training, and write the model; returns its card.

    From `until`, a Unix time, no step is begun: StoppedError, and the same call goes on from there.

    A finished model of the same plan is left alone; OutputError where the folder holds anything
    else, unless volproc made it and `overwrite` or the plan's `from_scratch` says that it may go.
    """
    require_apart(plan.claim)
    require_free(plan.claim, overwrite=overwrite, own=plan.from_scratch)
    remove_left(plan.claim)
    card = plan.finished_card() or _made(plan, watch, until)
    torch.cuda.empty_cache()  # what torch keeps for later, another process may want: predict's
    return card


def _made(plan: TrainPlan, watch: Watch, until: float) -> Card:
    options = plan.options
    device = device_for(options.device, table="train")
    write_provenance(plan.folder, plan.recipe, finished=False, folder=True)
    load = partial(load_pair, voxel_nm=plan.voxel_nm, agreement_as=options.agreement_as)
    pairs = [load(source) for source in plan.sources]
    require_foreground(pairs, plan.sources)
    sampler = Sampler(
        pairs=pairs,
        weights=tuple(source.weight for source in plan.sources),
        spec=plan.spec,
        patch=options.patch,
        batch=options.batch,
        seed=options.seed,
    )
    validator = Validator([load(source) for source in plan.validation])
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
        batches=sampler,
        folder=f"{plan.folder}/training",
        key=plan.digest,
        scores=validator if plan.validation else None,
        watch=watch,
        from_scratch=True,  # whether it may go was asked before
        is_over=lambda: time.time() >= until,
    )
    card = save_model(plan.folder, network, plan.card(validator(network)))
    finished = plan.finished_record(card)
    write_provenance(plan.folder, plan.recipe, finished=True, folder=True, **finished)
    return card


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


def _notes(sources: Sequence[Source], voxel_nm: VoxelNm) -> Iterator[str]:
    for source in sources:
        if part := part_of(source, voxel_nm):
            yield (
                f"of {source.image.url}, voxels {part} at {voxel_nm[0]:g} nm are used: all of its "
                "volumes overlap there"
            )


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
    until: float = math.inf
    """Unix time from which no step of the optimiser is begun."""

    def load(self, block: Block) -> None:
        """Volumes are read by the training itself."""

    def compute(self, block: Block, loaded: None) -> str:
        """The digest of the weights, once the model is in its folder."""

        def watch(done: Mapping[str, Any]) -> None:
            report(done["step"], done["steps"], f"loss {done['loss']:.3f}")

        card = run_training(self.plan, watch=watch, overwrite=self.overwrite, until=self.until)
        return card.weights_sha256

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
    runner.run(replace(step, blocks=whole, task=Train(plan, runner.overwrite, runner.until)))
    return load_card(plan.folder)
