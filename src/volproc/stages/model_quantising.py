"""A model's quantised weights: their steps from planes of images, their cost on other planes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from volproc.errors import ModelError
from volproc.grid.box import Box, Shape
from volproc.grid.scale import parse_voxel_nm
from volproc.model.card import Card, Int8
from volproc.model.int8.layers import save_layers
from volproc.model.int8.quantising import Sample, differences, quantise
from volproc.model.int8.requirements import require_int8, require_openvino
from volproc.model.model_folder import SHIPPED, load_card, model_folder
from volproc.model.network import Constants
from volproc.model.weights import load_model, save_int8
from volproc.stages.inference.tiling import AXES, Axis, along, back, oriented
from volproc.stages.model_fit import why_too_coarse
from volproc.stages.volume_sample import volume_constants
from volproc.volume.kinds import require_grey
from volproc.volume.resampling import as_tensor, resampled, resampling_to
from volproc.volume.store import Volume, open_volume

PATCHES = 24
"""Of each image for the steps, and as many for the cost."""
SIDE = 192
"""Pixels of a patch's side, at the most."""


def quantise_model(model: str, images: Sequence[str], folder: str = "") -> Card:
    """Write a model with int8 weights to `folder`, its own by default; its new card.

    The steps come from patches of the first half of each image's planes, and the differences on
    the card from patches of the other half, along each axis in turn. ModelError for a network
    that has no quantised form and for images that it cannot look at.
    """
    source = model_folder(model)
    if not folder and Path(source).parent == SHIPPED:
        raise ModelError(f"{model} is a shipped model; give a folder for the quantised one")
    require_int8(load_card(source).spec, model)
    require_openvino()
    network, card = load_model(source)
    halves: tuple[list[Sample], list[Sample]] = ([], [])
    for url in images:
        volume = open_volume(url)
        constants = volume_constants(volume)
        for number, half in enumerate(halves):
            half += _patches(volume, constants, card, half=number)
    layers = quantise(network, halves[0], name=card.name)
    data = save_layers(layers)
    names = tuple(Path(url).name for url in images)
    costs = differences(network, layers, halves[1], card)
    sha256 = hashlib.sha256(data).hexdigest()
    made = card.model_copy(update={"int8": Int8(sha256=sha256, steps_from=names, **costs)})
    save_int8(folder or source, source, data, made)
    return made


def _patches(volume: Volume, constants: Constants, card: Card, *, half: int) -> Iterator[Sample]:
    """Patches of the first or second half of a volume's planes along each of the card's axes."""
    require_grey(volume.info, stage="models quantise")
    voxel_nm = parse_voxel_nm(card.voxel_nm)
    if why := why_too_coarse(volume.info, voxel_nm):
        raise ModelError(f"model {card.name} works at {list(voxel_nm)} nm, but {why}")
    way = resampling_to(volume.info, voxel_nm)
    chance = np.random.default_rng(half)
    for number in range(PATCHES):
        axis = [axis for axis in AXES if axis in card.axes][number % len(card.axes)]
        window = _window(way.shape_out, axis, card, half=half, chance=chance, url=volume.info.url)
        values = volume.read(way.source(window), level=way.level)
        planes = oriented(resampled(as_tensor(values), way, window), axis)
        yield planes[None].clone(memory_format=torch.contiguous_format), constants


def _window(
    shape: Shape, axis: Axis, card: Card, *, half: int, chance: np.random.Generator, url: str
) -> Box:
    """A patch somewhere in one half of the planes along `axis`."""
    depth, height, width = along(axis, shape)
    size = (card.slices_in, *(min(SIDE, n) // card.stride * card.stride for n in (height, width)))
    if depth // 2 < size[0] or min(size) == 0:
        raise ModelError(
            f"{url} has {shape} voxels at the {list(card.voxel_nm)} nm of {card.name}, too few: "
            f"take an image of {2 * card.slices_in} planes of {card.stride} pixels or more along "
            f"{axis}"
        )
    room = (depth // 2 - size[0], height - size[1], width - size[2])
    at = [int(chance.integers(0, n + 1)) for n in room]
    start = (at[0] + half * (depth - depth // 2), at[1], at[2])
    stop = (start[0] + size[0], start[1] + size[1], start[2] + size[2])
    return Box(back(axis, start), back(axis, stop))
