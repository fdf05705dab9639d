"""How a network is to be run on planes: what its description states, and the rest measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from math import lcm, prod
from typing import Any

import torch
from torch import Tensor

from volproc.errors import ModelError
from volproc.model.foreign.forward import Forward
from volproc.model.foreign.model_card import Description, Extent
from volproc.model.foreign.package import require_memory
from volproc.model.foreign.probe import ConstantOutput, Noise, Sight, normal, sight
from volproc.model.foreign.processing import prepared
from volproc.model.foreign.runnable import Cost, Runnable

SIDES = (64, 128, 256, 512)
"""Pixels of a strip's short side: the first that the network takes."""
LENGTHS = (256, 512)
"""Pixels of its long side: the first in which the reach shows."""
SIDES_3D, LENGTHS_3D, DEPTH_3D = (32, 64, 128), (128, 256), 32

SPOT = 8
"""Pixels of a spot of equal grey."""
HALO_OF_WHOLE_TILE = 64
"""Context in pixels for a network that looks at its whole tile, where none is stated."""
PROBE_BYTES = 64
"""Memory of a run at the least, per voxel that a network sees: a few channels of float32."""
MIN_DEPTH = 16
"""Planes that a 3D network of any depth predicts at once, at the least."""


@dataclass(frozen=True)
class Depth:
    """Planes read and predicted at once."""

    slices_in: int
    slices_out: int
    halo: int | None = 0


@dataclass(frozen=True)
class Measured:
    """What predict has to know; `reach` is the halo as measured, None for the whole tile."""

    depth: Depth
    halo: int
    stride: int
    reach: int | None
    crop: int
    cost: Cost
    pixels: int
    """Of the run that `cost` belongs to."""
    outputs: dict[str, Tensor]
    """To noise and to grey values, (N, C, D', H, W) before any postprocessing."""


def measure(run: Runnable, description: Description) -> Measured:
    """Everything that `description` does not state; ModelError if it cannot be found out.

    On noise about 0; networks that see nothing in it, such as those that output masks, on grey
    values.
    """
    grey = partial(grey_values, description)
    try:
        return _measured(run, description, normal, grey)
    except ConstantOutput:
        return _measured(run, description, grey, grey)


def grey_values(
    description: Description, shape: tuple[int, ...], chance: torch.Generator
) -> Tensor:
    """Spots and grain from 0 to 255, as 8-bit images have them, after the preprocessing."""
    coarse = [-(-n // SPOT) for n in shape[1:]]
    spots = torch.randn((shape[0], *coarse), generator=chance)
    for axis, size in enumerate(shape[1:], start=1):
        spots = spots.repeat_interleave(SPOT, axis).narrow(axis, 0, size)
    grain = torch.randn(shape, generator=chance)
    grey = (128 + 50 * spots + 25 * grain).clamp(0, 255).round()
    return prepared(description.preprocessing, grey.numpy()).apply(grey)


@torch.inference_mode()
def _measured(run: Runnable, description: Description, noise: Noise, grey: Noise) -> Measured:
    planes = _planes_to_probe(description)
    side, lost_depth, crop = _first_output(Forward(run, description), description, planes)
    forward = Forward(run, description, crop)
    plane = [_seen(forward, description, planes, side, axis, noise) for axis in (2, 3)]
    reaches = [one.halo for one in plane]
    stride = lcm(*(one.stride for one in plane))
    reach = None if None in reaches else _up(max(r for r in reaches if r is not None), stride)
    stated = HALO_OF_WHOLE_TILE if reach is None else 0
    halo = _up(max(description.halo or stated, reach or 0), stride)
    depth = _depth(forward, description, planes, side, lost_depth, noise)
    chance, shape = torch.Generator().manual_seed(1), (1, depth.slices_in, side, side)
    given = {"noise": noise(shape, chance), "grey values from 0 to 255": grey(shape, chance)}
    fitted = forward.ready(given["noise"])
    return Measured(
        depth=depth,
        halo=_within(description.size, halo, stride, crop),
        stride=stride,
        reach=reach,
        crop=crop,
        cost=run.cost(fitted),
        pixels=prod(fitted.shape[description.axes.index(axis)] for axis in "yx"),
        outputs={name: forward(values) for name, values in given.items()},
    )


def _planes_to_probe(description: Description) -> int:
    depth = description.depth
    if description.three_d:
        return depth.fit(DEPTH_3D) if depth and depth.step else depth.least if depth else DEPTH_3D
    if "z" not in description.axes:
        return 1
    if depth is None:
        raise ModelError(
            f"{description.name} reads neighbouring planes, but not how many is stated: "
            "state depth in a card"
        )
    return depth.least


def _first_output(forward: Forward, description: Description, planes: int) -> tuple[int, int, int]:
    """A side that the network takes, and what it loses: planes in depth, pixels on either side."""
    size = description.size
    sides = (size.least,) if size else SIDES_3D if description.three_d else SIDES
    largest = planes * max(sides) ** 2
    require_memory(PROBE_BYTES * largest, f"{description.name}, of {largest / 1e6:,.4g} Mvoxel,")
    refusal: ModelError | None = None
    for side in sides:
        try:
            depth, plane = forward.lost(torch.randn(1, planes, side, side))
        except ModelError as error:
            refusal = refusal or error
        else:
            return (side if size is None or size.step else side - plane), depth, plane // 2
    assert refusal
    raise refusal


def _seen(
    forward: Forward, description: Description, planes: int, side: int, axis: int, noise: Noise
) -> Sight:
    size, stride = description.size, description.stride
    lengths: Iterable[int] = LENGTHS_3D if description.three_d else LENGTHS
    if size and not size.step:
        lengths = (side,)
    for length in lengths:
        shape = (planes, length, side) if axis == 2 else (planes, side, length)
        how: dict[str, Any] = {"stride": stride, "name": description.name, "noise": noise}
        found = sight(forward.channel, shape, axis, **how)
        if found.halo is not None:
            break
    return found


def _depth(
    forward: Forward, description: Description, planes: int, side: int, lost: int, noise: Noise
) -> Depth:
    """Planes read at once: all there are in 2D and 2.5D, a tile with its halo in 3D."""
    if not description.three_d:
        if lost % 2:
            raise ModelError(
                f"{description.name} predicts {planes - lost} planes of {planes}, which cannot be "
                "the central ones"
            )
        return Depth(planes, planes - lost)
    extent = description.depth
    fixed = extent.most if extent else None
    for length in (fixed,) if fixed else LENGTHS_3D:
        shape, apart = (length, side, side), description.depth_stride
        how: dict[str, Any] = {"stride": apart, "name": description.name, "noise": noise}
        found = sight(forward.channel, shape, 1, **how)
        if found.halo is not None:
            break
    stride = found.stride
    stated = MIN_DEPTH if found.halo is None else 0
    halo = _up(max(description.depth_halo or stated, found.halo or 0), stride)
    if fixed is None:
        whole = _up(max(2 * halo, MIN_DEPTH), stride) + 2 * halo
        fixed = extent.fit(whole) if extent else whole
    halo = min(halo, (fixed - stride) // (2 * stride) * stride)
    return Depth(fixed, fixed - 2 * halo, found.halo)


def _within(size: Extent | None, halo: int, stride: int, crop: int) -> int:
    """`halo`, or as much of it as leaves a quarter of the only size there is for the output."""
    if size is None or size.most is None:
        return halo
    most = size.most - 2 * crop
    return min(halo, (most - max(stride, most // 4)) // (2 * stride) * stride)


def _up(number: int, step: int) -> int:
    return -(-number // step) * step
