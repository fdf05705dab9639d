"""Blur and noise: what one microscope does to an image and another does not."""

from __future__ import annotations

from math import ceil

import numpy as np
import torch
from torch import Tensor

from volproc.model.normalisation import CLIP
from volproc.stages.train.augmentation.options import AugmentationOptions
from volproc.stages.train.augmentation.streams import Rng, Streams
from volproc.stages.train.augmentation.views import Views, change, column

LARGEST_STEP = 0.25
"""Share of a pixel that a pass of the filter [a, 1 - 2a, a] gives to a neighbour, at most."""


def blur(planes: Tensor, views: Views, streams: Streams, options: AugmentationOptions) -> None:
    """Blur some patches in their planes, or sharpen them half as much; as far in nm both ways."""
    rngs = streams("blur", options.blur if options.blur_voxels else 0.0)
    largest = options.blur_voxels**2 / 2  # passes of [a, 1 - 2a, a] add up to the variance 2a
    passes = ceil(largest / LARGEST_STEP)
    shares = np.array([rng.uniform(-0.5, 1) * largest / max(1, passes) for rng in rngs.values()])
    # pixels taller than wide are blurred less along the rows; wider ones no more than columns
    ratios = np.array([min(1.0, views.ratio(place)) ** 2 for place in rngs])

    def blurred(some: Tensor) -> Tensor:
        for _ in range(passes):
            some = _spread(some, column(shares * ratios, some), dim=-2)
            some = _spread(some, column(shares, some), dim=-1)
        return some

    change(planes, rngs, blurred)


def _spread(planes: Tensor, share: Tensor, *, dim: int) -> Tensor:
    """`planes` filtered with [share, 1 - 2 share, share] along `dim`, the border repeated."""
    flow = planes.diff(dim=dim).mul_(share)
    size = planes.shape[dim]
    out = planes.clone()
    out.narrow(dim, 0, size - 1).add_(flow)
    out.narrow(dim, 1, size - 1).sub_(flow)
    return out


def add_noise(planes: Tensor, streams: Streams, options: AugmentationOptions) -> None:
    """Add noise of one spread everywhere to some patches, and shot noise.

    The variance of shot noise is that of the electrons counted: it grows with the grey value, from
    0 at black.
    """
    rngs = streams("noise", options.noise if options.gauss or options.shot else 0.0)
    drawn = [rng.uniform(0, (options.gauss, options.shot)) ** 2 for rng in rngs.values()]
    gauss, shot = np.array(drawn).T if drawn else ((), ())

    def noisy(some: Tensor) -> Tensor:
        variance = (some + CLIP).clamp_(min=0).mul_(column(shot, some) / CLIP)
        spread = variance.add_(column(gauss, some)).sqrt_()
        return spread.mul_(_grain(some, list(rngs.values()))).add_(some)

    change(planes, rngs, noisy)


def _grain(planes: Tensor, rngs: list[Rng]) -> Tensor:
    """Normal numbers like `planes`, of each patch from a seed of its own, made on their device."""
    grain = torch.empty_like(planes)
    for one, rng in zip(grain, rngs, strict=True):
        generator = torch.Generator(planes.device).manual_seed(int(rng.integers(2**63)))
        one.normal_(generator=generator)
    return grain
