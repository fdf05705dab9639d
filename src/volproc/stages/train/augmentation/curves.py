"""Smooth closed curves drawn over patches."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from volproc.stages.train.augmentation.streams import Rng, Streams


def draw_curves(planes: Tensor, streams: Streams, probability: float) -> None:
    """Draw smooth closed surfaces over some patches: saturated, or smeared as if retouched.

    Some recovered images have such curves along nuclei. Drawn anywhere, they mean nothing.
    """
    for place, rng in streams("curves", probability).items():
        planes[place] = _drawn(planes[place], rng)


def _drawn(planes: Tensor, rng: Rng) -> Tensor:
    coarse = rng.normal(size=(1, 1, int(rng.integers(2, 4)), *rng.integers(3, 8, 2)))
    field = functional.interpolate(
        torch.from_numpy(coarse.astype(np.float32)).to(planes.device),
        size=planes.shape,
        mode="trilinear",
        align_corners=True,
    )[0, 0]
    inside = field > float(rng.normal(0, 0.3))
    wide = int(rng.integers(2, 5))
    band = (inside ^ inside.roll(wide, 1)) | (inside ^ inside.roll(wide, 2))
    if rng.random() < 0.6:
        return torch.where(band, float(rng.uniform(1.8, 3.2)), planes)
    rows = functional.avg_pool2d(planes[None], (9, 1), 1, (4, 0))
    return torch.where(band, functional.avg_pool2d(rows, (1, 9), 1, (0, 4))[0], planes)
