"""From image and label volumes to a model folder: plan_train decides, run_train obeys.

    volumes ──resampled to voxel_nm──> pairs in memory ──> sampler ──> loop ──> model folder
                                                                        │
                                                     MODEL/training/ checkpoint.pt, log.jsonl

Killed at any moment and started again, it ends with the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from volproc.config import TrainOptions
from volproc.engine.ledger import digest
from volproc.errors import ConfigError, ModelError
from volproc.grid.blocks import Tiling
from volproc.grid.box import Box, each
from volproc.grid.scale import VoxelNm, covering, nearest, parse_voxel_nm
from volproc.model.unet import UNet, UNetSpec
from volproc.model.weights import (
    Card,
    TrainedOn,
    card_for,
    load_card,
    load_model,
    model_folder,
    save_model,
)
from volproc.stages.normalisation import volume_constants
from volproc.stages.train.loop import Schedule, Watch, new_state, train
from volproc.stages.train.sampling import Pair, Sampler, pair_of
from volproc.stages.train.validate import Validator
from volproc.volume.metadata import VolumeInfo
from volproc.volume.resample import Resampling, read_resampled, resampling_to
from volproc.volume.store import Volume, open_volume

KEPT_BYTES = 2
"""Per voxel of every volume: an 8-bit image and its truth."""
WORKING_BYTES = 4
"""More per voxel of the volume that is being read: copies, and the search for surfaces."""
SLAB = 16
"""Planes read at a time."""

NO_MATTER = {
    *("model_out", "start_from", "checkpoint_steps", "validate_steps"),
    *("name", "object_name", "trained_on", "licence", "notes"),
}
"""Options that change no weight: a training goes on though they change."""


@dataclass(frozen=True)
class Source:
    """An image, its labels, and how often patches come from it."""

    image: VolumeInfo
    labels: VolumeInfo
    weight: float = 1.0


@dataclass(frozen=True)
class TrainPlan:
    """All that a training depends on, and what it costs."""

    options: TrainOptions
    sources: tuple[Source, ...]
    validation: tuple[Source, ...]
    spec: UNetSpec
    voxel_nm: VoxelNm
    digest: str
    peak_bytes: int
    flop: int


def sources_of(
    images: Sequence[str], labels: Sequence[str], weights: Sequence[float] = ()
) -> tuple[Source, ...]:
    """Pairs of volumes from their paths; ConfigError unless there are labels for every image."""
    shares = tuple(weights) or (1.0,) * len(images)
    if not len(images) == len(labels) == len(shares):
        raise ConfigError(
            f"[train] has {len(images)} images, {len(labels)} labels and {len(shares)} weights; "
            "give one label volume (and one weight, or none at all) per image"
        )
    return tuple(
        Source(open_volume(image).info, open_volume(truth).info, share)
        for image, truth, share in zip(images, labels, shares, strict=True)
    )


def plan_train(
    sources: Sequence[Source], options: TrainOptions, *, validation: Sequence[Source] = ()
) -> TrainPlan:
    """Check that volumes and network fit, and add up the costs. Reads metadata only."""
    spec = UNetSpec(options.slices_in, options.slices_out, options.widths, options.stem)
    voxel_nm = parse_voxel_nm((options.voxel_nm,) * 3)
    if not sources:
        raise ConfigError("[train] images is empty; name at least one image and its labels")
    if options.patch % spec.stride:
        raise ConfigError(
            f"[train] patch = {options.patch} is not a multiple of the stride {spec.stride}"
        )
    for source in (*sources, *validation):
        _require_fit(source, voxel_nm)
    shapes = [resampling_to(s.image, voxel_nm).shape_out for s in (*sources, *validation)]
    voxels = KEPT_BYTES * sum(map(prod, shapes)) + WORKING_BYTES * max(map(prod, shapes))
    # a step back costs two steps forth, and what went forth is kept until it is back
    passes = 3 * options.batch
    side = options.patch
    lasting = options.model_dump(mode="json", exclude=NO_MATTER)
    begun = _start(options, spec)
    what = (lasting, begun, *map(_described, (*sources, *validation)))
    return TrainPlan(
        options=options,
        sources=tuple(sources),
        validation=tuple(validation),
        spec=spec,
        voxel_nm=voxel_nm,
        digest=digest(*what),
        peak_bytes=voxels + passes * spec.activation_bytes(side, side),
        flop=options.steps * passes * spec.flop(side, side),
    )


def run_train(plan: TrainPlan, *, watch: Watch = lambda _: None) -> Card:
    """Train, or go on training, and write the model; returns its card."""
    options = plan.options
    device = torch.device(
        ("cuda" if torch.cuda.is_available() else "cpu")
        if options.device == "auto"
        else options.device
    )
    sampler = Sampler(
        pairs=[load_pair(source, plan.voxel_nm) for source in plan.sources],
        weights=tuple(source.weight for source in plan.sources),
        spec=plan.spec,
        patch=options.patch,
        batch=options.batch,
        seed=options.seed,
    )
    validator = Validator([load_pair(source, plan.voxel_nm) for source in plan.validation])
    schedule = Schedule(
        steps=options.steps,
        learning_rate=options.learning_rate,
        border_weight=options.border_weight,
        checkpoint=options.checkpoint_steps,
        validate=options.validate_steps,
    )
    folder = Path(options.model_out)
    network = train(
        new_state(plan.spec, schedule, seed=options.seed, device=device, trained=_trained(plan)),
        schedule,
        batches=sampler,
        folder=folder / "training",
        key=plan.digest,
        scores=validator if plan.validation else None,
        watch=watch,
    )
    return save_model(folder, network, _card(plan, validator(network)))


def load_pair(source: Source, voxel_nm: VoxelNm) -> Pair:
    """Image and truth of a source on the model's grid, in memory; read in slabs."""
    image, labels = Volume(source.image), Volume(source.labels)
    way = resampling_to(source.image, voxel_nm)
    slabs = [block.core for block in Tiling(way.shape_out, (SLAB, *way.shape_out[1:]))]
    return pair_of(
        np.concatenate([image_on(image, way, slab) for slab in slabs]),
        np.concatenate([labels_on(labels, slab, voxel_nm) > 0 for slab in slabs]),
        normalisation=volume_constants(image),
    )


def image_on(image: Volume, way: Resampling, box: Box) -> npt.NDArray[Any]:
    """The image in `box` of the new grid; 8-bit images stay 8-bit, others become float32."""
    values = read_resampled(image, way, box).numpy()
    return values.round().astype(np.uint8) if image.info.dtype == "uint8" else values


def labels_on(labels: Volume, box: Box, voxel_nm: VoxelNm) -> npt.NDArray[Any]:
    """Labels at the centres of the voxels of `box` on a grid of `voxel_nm`."""
    shape = labels.info.shape
    factor = each(lambda t, s: float(t / s), voxel_nm, labels.info.voxel_nm)
    needed = covering(box, factor=factor, shape_in=shape)
    axes = zip(box.start, box.stop, shape, factor, needed.start, strict=True)
    picks = (nearest(a, b, size_in=size, factor=f) - first for a, b, size, f, first in axes)
    return labels.read(needed)[np.ix_(*picks)]


def _require_fit(source: Source, voxel_nm: VoxelNm) -> None:
    image, labels = source.image, source.labels
    if labels.kind != "labels":
        raise ConfigError(f"[train] labels: {labels.url} is an image; expected a label volume")
    if image.kind != "image" or image.channels:
        raise ConfigError(f"[train] images: {image.url} is not an image of one channel")
    spans = zip(image.shape, image.voxel_nm, labels.shape, labels.voxel_nm, voxel_nm, strict=True)
    for length, size, other_length, other_size, coarse in spans:
        if abs(length * size - other_length * other_size) > 2 * max(size, other_size, coarse):
            raise ConfigError(
                f"{image.url} and {labels.url} do not cover the same field of view: "
                f"{image.shape} voxels of {image.voxel_nm} nm, "
                f"{labels.shape} of {labels.voxel_nm} nm"
            )


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


def _described(source: Source) -> tuple[str, str, float]:
    return Volume(source.image).identity, Volume(source.labels).identity, source.weight


def _card(plan: TrainPlan, scores: Mapping[str, float]) -> Card:
    options = plan.options
    return card_for(
        plan.spec,
        name=options.name,
        voxel_nm=plan.voxel_nm,
        classes=(options.object_name,),
        trained_on=tuple(TrainedOn(**entry.model_dump()) for entry in options.trained_on),
        licence=options.licence,
        scores={f"validation {name}": score for name, score in scores.items()},
        notes=options.notes,
    )
