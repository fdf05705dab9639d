"""A training from its plan to the model's folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from volproc.errors import ConfigError
from volproc.model.weights import Card, PlaneNetwork, save_model
from volproc.stages.claims import remove_left, require_apart, require_free
from volproc.stages.provenance import write_provenance
from volproc.stages.train.augmentation.augmenter import Augmenter
from volproc.stages.train.calibration import calibrated
from volproc.stages.train.centre_index import CentreIndex, index_of, require_learnable
from volproc.stages.train.companions import training_together
from volproc.stages.train.held_out import HeldOut
from volproc.stages.train.loop import Progress, Training, Watch, train
from volproc.stages.train.losses import Loss
from volproc.stages.train.measured_card import measured
from volproc.stages.train.pace import Pace
from volproc.stages.train.patch_sampler import Sampler
from volproc.stages.train.plan import TrainPlan
from volproc.stages.train.processes import Processes
from volproc.stages.train.schedule import Schedule
from volproc.stages.train.start import started
from volproc.stages.train.state import State, new_state
from volproc.stages.train.validation import SCORES, Validator, tolerance_of


def run_training(
    plan: TrainPlan,
    *,
    watch: Watch = lambda _: None,
    is_over: Callable[[], bool] = lambda: False,
    overwrite: bool = False,
) -> Card:
    """Train, or go on training, and write the model; returns its card.

    A finished model of the same plan is left alone; OutputError where the folder holds anything
    else, unless volproc made it and `overwrite` or the plan's `from_scratch` says that it may go.
    StoppedError once `is_over` says so: the checkpoint goes on from there.
    """
    require_apart(plan.claim)
    require_free(plan.claim, overwrite=overwrite, own=plan.from_scratch)
    remove_left(plan.claim)
    card = plan.finished_card() or _made(plan, watch, is_over)
    torch.cuda.empty_cache()  # what torch keeps for later, another process may want: predict's
    return card


def _made(plan: TrainPlan, watch: Watch, is_over: Callable[[], bool]) -> Card:
    index = index_for(plan)
    validator = validator_of(plan) if plan.validation else None
    if validator:
        _require_scorable(validator.regions)
    if plan.start:  # what cannot be read is refused before anything is written
        started(plan.start, plan.options, plan.card().classes)
    write_provenance(plan.folder, plan.recipe, finished=False, folder=True)
    index.keep()
    with training_together(plan) as processes:
        state = trained(plan, index, processes, validator, watch, is_over)
    network = state.best_network() if plan.options.keep == "best" else state.average
    card = save_model(plan.folder, network, _card(plan, validator, network))
    finished = plan.finished_record(card)
    write_provenance(plan.folder, plan.recipe, finished=True, folder=True, **finished)
    return card


def _require_scorable(regions: Sequence[HeldOut]) -> None:
    """ConfigError where nothing that is held out is of any class; VolumeError for no numbers."""
    for region in regions:
        region.require_readable()
    if not any(region.shows_something for region in regions):
        urls = dict.fromkeys(
            one.labels.url for r in regions for one in r.labelled.source.classes if one
        )
        raise ConfigError(
            f"[train] validation: no voxel held out is of any class in {', '.join(urls)}, so "
            "nothing can be scored; hold out a part that shows some, or leave validation out"
        )


def trained(
    plan: TrainPlan,
    index: CentreIndex,
    processes: Processes,
    validator: Validator | None = None,
    watch: Watch = lambda _: None,
    is_over: Callable[[], bool] = lambda: False,
) -> State:
    """The state at the end of a training, of which this is one of the processes.

    Only the first one validates and tells how far it is.
    """
    options, device = plan.options, torch.device(plan.device)
    schedule = _schedule(plan)
    start = started(plan.start, options, plan.card().classes) if plan.start else None
    training = Training(
        schedule,
        patches=_sampler(plan, index).patches,
        augment=Augmenter(options.augmentation, plan.spec, options.seed, plan.voxel_nm),
        loss=Loss(plan.voxel_nm, options.border_weight, options.border_nm, options.boundary_loss),
        batch=options.batch,
        validate=validator,
        score_names=validator.names if validator else (),
        best_by=options.best_by,
        processes=processes,
        tensorboard=options.tensorboard,
        compiled=options.compiled,
        watch=_keeping_pace(plan, watch) if processes.is_first else watch,
        is_over=is_over,
    )
    state = new_state(plan.spec, schedule, seed=options.seed, device=device, trained=start)
    # whether an older training may go was asked before
    return train(state, training, f"{plan.folder}/training", key=plan.digest, from_scratch=True)


def _keeping_pace(plan: TrainPlan, watch: Watch) -> Watch:
    """Tells `watch`, and the plans of later runs how fast this one is."""

    def told(now: Progress) -> None:
        if now.step % plan.options.checkpoint_steps == 0 or now.step == now.steps:
            Pace(plan.digest, plan.like, now.step, now.speed).write(plan.folder)
        watch(now)

    return told


def _schedule(plan: TrainPlan) -> Schedule:
    options = plan.options
    return Schedule(
        steps=options.steps,
        learning_rate=options.learning_rate,
        checkpoint=options.checkpoint_steps,
        validate=options.validate_steps,
        patience=options.patience,
    )


def index_for(plan: TrainPlan) -> CentreIndex:
    """What is in each region; ConfigError, before anything is written, if nothing can be learnt."""
    regions = plan.regions
    index = index_of(regions, file=f"{plan.folder}/training/centres.json", key=plan.digest)
    require_learnable(index, regions, plan.options.classes)
    return index


def _sampler(plan: TrainPlan, index: CentreIndex) -> Sampler:
    options = plan.options
    return Sampler(
        plan.regions, index, plan.spec, options.patch, options.batch, options.seed, plan.axes
    )


def held_out_regions(plan: TrainPlan) -> tuple[HeldOut, ...]:
    """What networks are scored on."""
    if not plan.validation:
        return ()
    network, images = plan.network(), plan.images(plan.validation)
    return tuple(HeldOut(image, network, plan.axes_trained) for image in images)


def validator_of(plan: TrainPlan) -> Validator:
    """What scores networks of a plan."""
    return Validator(
        held_out_regions(plan),
        plan.options.classes,
        plan.axes_trained,
        plan.voxel_nm,
        tolerance_of(plan.voxel_nm, plan.options.tolerance_nm),
        plan.device,
    )


def _card(plan: TrainPlan, validator: Validator | None, network: PlaneNetwork) -> Card:
    """The card: scores of the network as it will predict, with its temperatures."""
    card = measured(plan, network, {})
    if not validator:
        return card
    calibration = calibrated(validator, network) if plan.options.calibrate else {}
    card = card.model_copy(update={"calibration": calibration})
    table = validator.table(network, temperatures=card.temperatures)
    dice: dict[str, dict[str, float]] = {name: {} for name in plan.options.classes}
    for (name, answer), scores in table.items():
        if (found := scores["dice"]) is not None:
            dice[name][answer] = round(found, 5)
    named = validator.named(table)
    told = {f"validation {n}": round(v, 5) for n in SCORES if (v := named[n]) is not None}
    return card.model_copy(update={"validation": dice, "scores": told})
