"""Mirrored, turned, scaled, rotated and bent: the image with its target and its weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from volproc.stages.train.augmentation.options import AugmentationOptions
from volproc.stages.train.augmentation.streams import Rng, Streams
from volproc.stages.train.augmentation.views import Views, change, table

FULL_WEIGHT = 0.999
"""Share of a warped voxel that must come from voxels that count."""
CONTROL_POINTS = 5
"""Of a side of the grid that bends a plane."""


class Parts(NamedTuple):
    """What moves together."""

    planes: Tensor
    """(N, D, H, W), float32."""
    target: Tensor
    """(N, classes, slices, H, W), uint8: probability times 255."""
    weight: Tensor
    """The same of what voxels count."""


def mirrored(part: Tensor, streams: Streams, *, flips: bool) -> Tensor:
    """A copy of a part (N, ..., D, H, W) mirrored along any of the last three axes.

    The same of every part: a stream begins anew each time it is asked for.
    """
    axes = {
        place: [int(axis) for axis in np.flatnonzero(rng.random(3) < 0.5) - 3]
        for place, rng in streams("flips", float(flips)).items()
    }
    # one after another: masks for the whole batch took 18 times as long
    return torch.stack([patch.flip(axes.get(place, [])) for place, patch in enumerate(part)])


def turn(part: Tensor, views: Views, streams: Streams, *, flips: bool) -> None:
    """Swap rows and columns of some patches of a part: with mirroring a quarter turn."""
    if part.shape[-1] == part.shape[-2]:
        places = [place for place in streams("turns", 0.5 * flips) if views.is_square(place)]
        change(part, places, lambda some: some.transpose(-2, -1))


def warped(
    parts: Parts, views: Views, streams: Streams, options: AugmentationOptions
) -> tuple[Tensor, Tensor, Tensor]:
    """Planes, target and weight as float32, some patches scaled, rotated and bent; planes in place.

    What was yes or no stays so: from one half on it is yes. A voxel that was blended from several
    counts only if all of these do.
    """
    planes, target, weight = parts.planes, parts.target / 255, parts.weight / 255
    rngs = streams("warp", options.warp)
    if not rngs:
        return planes, target, weight
    index = torch.tensor(list(rngs), device=planes.device)
    grid = _grid(rngs, views, planes, options)
    moved = _sampled((planes[index], target[index], *_counting(parts.weight[index])), grid)
    soft = _is_soft(parts.target[index])
    planes[index] = moved[0]
    target[index] = torch.where(soft, moved[1], (moved[1] >= 0.5).float())
    if len(moved) > 2:
        weight[index] = _blended(*moved[2:])
    return planes, target, weight


def _is_soft(target: Tensor) -> Tensor:
    """Of each patch and class whether there is more than yes and no, (N, classes, 1, 1, 1)."""
    between = (target > 0) & (target < 255)
    return between.flatten(2).any(dim=2)[..., None, None, None]


def _counting(weight: Tensor) -> tuple[Tensor, ...]:
    """Weight, and where it is not 0; neither where all voxels count in full."""
    return () if bool((weight == 255).all()) else (weight / 255, (weight > 0).float())


def _blended(weight: Tensor, counted: Tensor) -> Tensor:
    """In whole 255ths, so that 1 stays 1."""
    return (weight * 255).round().div(255) * (counted > FULL_WEIGHT)


def _sampled(parts: Sequence[Tensor], grid: Tensor) -> list[Tensor]:
    """Parts (N, ..., H, W) at the places of `grid`, in one pass over all of them."""
    flat = [part.flatten(1, -3) for part in parts]
    everything = functional.grid_sample(
        torch.cat(flat, dim=1), grid, padding_mode="reflection", align_corners=False
    )
    found = torch.split(everything, [part.shape[1] for part in flat], dim=1)
    return [one.reshape(part.shape) for one, part in zip(found, parts, strict=True)]


def _grid(
    rngs: dict[int, Rng], views: Views, planes: Tensor, options: AugmentationOptions
) -> Tensor:
    """Where each pixel of the chosen patches comes from, (N, H, W, 2), as grid_sample counts."""
    height, width = planes.shape[-2:]
    drawn = [_drawn(rng, views, place, options) for place, rng in rngs.items()]
    matrix, bends = (table(one, planes) for one in zip(*drawn, strict=True))
    bent = functional.interpolate(bends, size=(height, width), mode="bicubic", align_corners=True)
    down, across = _from_middle(height, planes)[:, None], _from_middle(width, planes)[None]
    per_patch = matrix[..., None, None]
    rows = per_patch[:, 0, 0] * down + per_patch[:, 0, 1] * across + bent[:, 0]
    columns = per_patch[:, 1, 0] * down + per_patch[:, 1, 1] * across + bent[:, 1]
    return torch.stack([columns * (2 / width), rows * (2 / height)], dim=-1)


def _drawn(
    rng: Rng, views: Views, place: int, options: AugmentationOptions
) -> tuple[np.ndarray, np.ndarray]:
    """What pixels from the middle are multiplied by, and what is added at the control points."""
    zoom = np.exp(rng.uniform(-options.scale, options.scale, 2))
    angle = np.deg2rad(rng.uniform(-options.rotation_degrees, options.rotation_degrees))
    bends = rng.normal(0, options.bend_voxels, (2, CONTROL_POINTS, CONTROL_POINTS))
    bends[0] *= views.ratio(place)  # as many nm along rows as along columns
    if views.axes[place] != 0 or not views.is_square(place):
        angle = 0.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn * zoom, bends


def _from_middle(size: int, planes: Tensor) -> Tensor:
    return torch.arange(size, dtype=torch.float32, device=planes.device) - (size - 1) / 2
