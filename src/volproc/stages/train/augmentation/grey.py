"""Grey values: normalised, then brighter, darker, steeper or bent."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from volproc.model.normalisation import CLIP
from volproc.stages.train.augmentation.options import AugmentationOptions
from volproc.stages.train.augmentation.streams import Streams
from volproc.stages.train.augmentation.views import column


def normalised(planes: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Planes (N, D, H, W) as `Normalisation.apply` makes them, each with its own constants."""
    scale = (1 / std.double()).float()
    out = planes.to(torch.float32, copy=True).sub_(mean[:, None, None, None])
    out.mul_(scale[:, None, None, None])
    if planes.is_floating_point():
        out.nan_to_num_(nan=0.0, posinf=CLIP, neginf=-CLIP)
    return out.clamp_(-CLIP, CLIP)


def shaded(planes: Tensor, streams: Streams, options: AugmentationOptions) -> Tensor:
    """Whole patches with another gamma, contrast and brightness."""
    if exponents := _spread(streams, "gamma", options.gamma):
        planes = _bent(planes, np.exp(exponents))
    if gains := _spread(streams, "contrast", options.contrast):
        planes = planes * column(np.exp(gains), planes)
    if offsets := _spread(streams, "brightness", options.brightness):
        planes = planes + column(offsets, planes)
    return planes


def _spread(streams: Streams, kind: str, spread: float) -> list[float]:
    """A number per patch; none without a spread."""
    return [rng.normal(0, spread) for rng in streams(kind, 1.0 if spread else 0.0).values()]


def _bent(planes: Tensor, exponents: np.ndarray) -> Tensor:
    """Gamma on the range in which almost all values lie, so that it bends but hardly shifts."""
    unit = ((planes + CLIP) / (2 * CLIP)).clamp_(0, 1)
    middle = column(0.5**exponents, planes)
    return (unit.pow_(column(exponents, planes)).sub_(middle)).mul_(2 * CLIP)
