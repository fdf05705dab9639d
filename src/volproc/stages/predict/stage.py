"""Plan and run of `predict`: image in, one fused uint8 volume (and the votes) out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, cast

from volproc.engine.recipe import Recipe
from volproc.engine.run import Chain, Runner
from volproc.errors import ModelError
from volproc.grid.blocks import Tiling
from volproc.grid.box import Box, each, whole_box
from volproc.grid.scale import parse_voxel_nm
from volproc.model.device import device_for
from volproc.model.network import Network
from volproc.model.own_network import in_int8
from volproc.model.resolver import open_network
from volproc.stages.claims import admit
from volproc.stages.description import Request
from volproc.stages.empty_result import (
    CARD,
    FLAT,
    model_record,
    values_record,
)
from volproc.stages.native_grid import writing_native
from volproc.stages.output import begin_volumes, cutting_of, finishing
from volproc.stages.predict.classes import (
    channels_of,
    chosen_classes,
    vote_channels,
)
from volproc.stages.predict.disagreement import (
    comparing_votes,
    plan_disagreement,
)
from volproc.stages.predict.empty_blocks import (
    empty_block_rule,
)
from volproc.stages.predict.geometry import Geometry, choose
from volproc.stages.predict.model_card import card_record
from volproc.stages.predict.native_prediction import plan_native
from volproc.stages.predict.options import PredictOptions
from volproc.stages.predict.plan import PredictPlan
from volproc.stages.predict.requirements import (
    require_greys,
    require_plain_cpu,
    require_reachable,
    require_weights,
    settled,
    validation_notes,
)
from volproc.stages.predict.restriction import Mask, blocks_inside, model_box, open_mask
from volproc.stages.predict.seam_check import run_certificate
from volproc.stages.predict.seam_places import Place
from volproc.stages.predict.task import Predict
from volproc.stages.volume_sample import volume_sample
from volproc.volume.access import exists, relative_url
from volproc.volume.fingerprint import fingerprint
from volproc.volume.kinds import require_grey
from volproc.volume.metadata import VolumeInfo, Window, new_volume
from volproc.volume.resampling import Resampling, resampling_to
from volproc.volume.store import Volume
from volproc.volume.written_level import WrittenLevel

__all__ = ["PredictPlan", "plan_from", "plan_predict", "run_predict"]

ALGORITHM = 1
"""Raised by hand when the same image, network and options would give other votes."""
PASSING = {
    *("model", "card", "trust_model", "device", "batch", "compiled", "votes"),
    *("agreement", "disagreement", "regions_um", "image_grid", "seam_check", "box", "mask"),
    *("classes", "match_greys", "precision"),
}
"""Options that do not change the prediction, or are named otherwise in its digest."""


def plan_predict(
    image: VolumeInfo,
    url: str,
    options: PredictOptions,
    *,
    votes_url: str | None = None,
    network: Network | None = None,
) -> PredictPlan:
    """Decide level, grid, tiles and blocks for predicting `image` into `url`.

    `network` is one still to be trained. VolumeError or ModelError where it suits no such image.
    """
    require_grey(image, stage="predict")
    device = device_for(options.device)
    network = network or open_network(options.model, card=options.card, trust=options.trust_model)
    if options.precision == "int8":
        require_plain_cpu(options, device)
        network = in_int8(network)
    voxel_nm = parse_voxel_nm(network.voxel_nm)
    require_reachable(image, voxel_nm, network)
    require_greys(options, network)
    classes = chosen_classes(network, options)
    way = resampling_to(image, voxel_nm)
    box = model_box(options.box, image, way)
    mask = open_mask(options.mask, image, way) if options.mask else None
    geometry = choose(way.shape_out, network, options, box, len(classes))
    blocks = Tiling(shape=box.shape, core=geometry.block)
    notes = (*network.notes, *geometry.notes, *validation_notes(options, network))
    options = options.model_copy(update=settled(options, network, geometry))
    require_weights(options)
    output, votes = _outputs(image, url, votes_url, way, box, geometry, classes)
    lasting = _lasting(options, network, classes) | {"votes": bool(votes_url)}
    if box != whole_box(way.shape_out):  # recipes of whole predictions stay as they were
        lasting |= {"box": [box.start, box.stop]}
    cutting = cutting_of(geometry.block, output) | {"tiles": geometry.layout}
    recipe = _recipe(image, network, mask, lasting, cutting, options.model, url)
    told = model_record(network, image, classes) | ({"model_notes": list(notes)} if notes else {})
    output = output.with_provenance(recipe=recipe.record(), **told)
    votes = votes and votes.with_provenance(recipe=recipe.record())
    return PredictPlan(
        image=image,
        output=output,
        votes=votes,
        resampler=way,
        layout=geometry.layout,
        box=box,
        blocks=blocks,
        network=network,
        device=device,
        classes=classes,
        options=options,
        recipe=recipe,
        notes=notes,
        native=plan_native(output, votes, image, options, recipe=recipe),
        disagreement=plan_disagreement(
            votes, image, options, recipe=recipe, classes=output.channels, origin=box.start
        ),
        mask=mask,
        inside=blocks_inside(mask, blocks, box.start) if mask else None,
    )


def _outputs(
    image: VolumeInfo,
    url: str,
    votes_url: str | None,
    way: Resampling,
    box: Box,
    geometry: Geometry,
    classes: tuple[str, ...],
) -> tuple[VolumeInfo, VolumeInfo | None]:
    """The prediction and, if they are written, the votes, on the part `box` of the model's grid."""
    made = partial(
        new_volume,
        shape=box.shape,
        voxel_nm=way.voxel_nm,
        corner_nm=each(lambda c, n, v: c + n * v, image.corner_nm, box.start, way.voxel_nm),
        part=image.is_part or box != whole_box(way.shape_out),
        dtype="uint8",
        window=Window(0, 255, 0, 255),  # probabilities are shown as such, not stretched
    )

    def of(place: str, channels: tuple[str, ...]) -> VolumeInfo:
        return made(place, channels=channels, shards=geometry.shard(len(channels)))

    prediction = of(url, channels_of(classes))
    voted = vote_channels(classes, geometry.axes)
    return prediction, of(votes_url, voted) if votes_url else None


def _lasting(options: PredictOptions, network: Network, classes: Sequence[str]) -> dict[str, Any]:
    """Options on which the votes depend; what no earlier prediction had only where it is used."""
    found = options.recorded(exclude=PASSING)
    if len(network.classes) > 1:
        found |= {"classes": classes}
    if options.precision != "float32":
        found |= {"precision": options.precision}
    return found | ({"match_greys": True} if options.match_greys else {})


def _recipe(
    image: VolumeInfo,
    network: Network,
    mask: Mask | None,
    options: dict[str, Any],
    cutting: dict[str, Any],
    model: str,
    url: str,
) -> Recipe:
    """Everything that a prediction at `url` depends on."""
    inputs = {"image": [fingerprint(image), image.corner_nm], "model": network.digest}
    places = {"image": relative_url(image.url, url), "model": _model_place(model, url)}
    if mask:
        inputs["mask"] = mask.fingerprint
        places["mask"] = relative_url(mask.volume.info.url, url)
    renamed = PredictOptions.RENAMED
    return Recipe("predict", ALGORITHM, inputs, options, cutting, places, renamed)


def _model_place(model: str, url: str) -> str:
    """The model's folder or file as seen from `url`; the name of a shipped one."""
    return relative_url(model, url) if exists(model) else model


def run_predict(plan: PredictPlan, runner: Runner) -> Volume:
    """The finished prediction."""
    admit(plan.claim, runner)
    steps = step, *_ = plan.steps
    outputs = [info for info in (plan.output, plan.votes) if info]
    volumes = begin_volumes(runner, outputs, step="predict", digest=plan.digest, steps=steps)
    written = [volume.info for volume in volumes]
    plan = replace(plan, output=written[0], votes=written[1] if len(written) > 1 else None)
    image = Volume(plan.image)
    sample = volume_sample(image)
    empty = empty_block_rule(
        plan.image, plan.output.voxel_nm, sample, deviations=plan.options.skip_empty_std
    )
    matched = plan.options.match_greys
    task = plan.task(plan.network.constants_from(sample, match_greys=matched), empty)
    # what it costs depends on no constant of the volume
    writes = tuple(map(WrittenLevel, written))
    records = runner.run(replace(step, task=task, writes=writes))
    seen = range(len(records)) if plan.inside is None else sorted(plan.inside)
    skipped = [n for n in seen if records[n]["skipped"]]
    card = card_record(plan.network)
    told: dict[str, Any] = {CARD: card} if card else {}
    if empty:
        told |= {"blocks": len(records), "skipped_blocks": len(skipped)}
    if plan.inside is not None:
        told["blocks_outside_mask"] = len(records) - len(seen)
    if empty and empty.flat is not None:
        told[FLAT] = empty.flat
    told |= values_record(plan.output.with_provenance(**told), records)
    prediction = Volume(plan.output.with_provenance(**told))
    with _certified(task, plan.certified(skipped), runner, digest=plan.digest):
        chains = [finishing(runner, prediction, plan.pyramid)]
        if plan.votes:
            chains.append(finishing(runner, Volume(plan.votes), plan.votes_pyramid))
        made, *_ = runner.run_together(*chains, *_extras(plan, runner))
    return cast(Volume, made)


@contextmanager
def _certified(
    task: Predict, places: tuple[Place, ...], runner: Runner, *, digest: str
) -> Iterator[None]:
    """The certificate first, while the workers are those that predicted; one that does not pass
    fails at the end, when the prediction is finished and can be looked at."""
    failed: ModelError | None = None
    try:
        if places:
            run_certificate(task, places, runner, digest=digest)
    except ModelError as error:
        failed = error
    yield
    if failed:
        raise failed


def _extras(plan: PredictPlan, runner: Runner) -> Iterator[Chain[Any]]:
    """What is made of the finest levels of prediction and votes."""
    if plan.native:
        yield writing_native(plan.native, runner)
    if plan.disagreement:
        yield comparing_votes(plan.disagreement, runner)


def plan_from(request: Request) -> PredictPlan:
    """The plan for what a command, a function or a run asks for."""
    options = request.table(PredictOptions)
    training = request.coming("train") if request.origins.get("model") == "train" else None
    return plan_predict(
        request.volume("image", voxel_nm=options.voxel_nm),
        request.out(),
        options,
        votes_url=request.out("votes") or None,
        network=training.network() if training else None,
    )
