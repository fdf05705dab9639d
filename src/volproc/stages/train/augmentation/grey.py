"""Grey values: normalised, then brighter, darker, steeper or bent; each voxel on its own."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from volproc.model.normalisation import CLIP
from volproc.stages.train.augmentation.options import AugmentationOptions
from volproc.stages.train.augmentation.streams import Streams
from volproc.stages.train.augmentation.views import column
from volproc.stages.train.batch import RawPatches


def grey_values(
    planes: Tensor, raw: RawPatches, streams: Streams, options: AugmentationOptions
) -> Tensor:
    """Planes (N, D, H, W) of `raw` normalised and with another gamma, contrast and brightness.

    Of 8-bit planes the 256 values are changed, which the voxels are then looked up in.
    """
    if planes.dtype != torch.uint8:
        return _shaded(normalised(planes, raw), streams, options)
    values = torch.arange(256, dtype=torch.uint8, device=planes.device)
    tables = _shaded(normalised(values.expand(len(planes), 1, 1, 256), raw), streams, options)
    found = [one.flatten()[:256].index_select(0, patch.flatten().int())
             for one, patch in zip(tables, planes, strict=True)]  # fmt: skip
    return torch.stack(found).reshape(planes.shape)


def normalised(planes: Tensor, raw: RawPatches) -> Tensor:
    """Planes (N, ...) as `Normalisation.apply` makes them, each with its own constants."""
    scale = (1 / raw.std.double()).float()
    out = planes.to(torch.float32, copy=True).sub_(raw.mean[:, None, None, None])
    out.mul_(scale[:, None, None, None])
    if planes.is_floating_point():
        out.nan_to_num_(nan=0.0, posinf=CLIP, neginf=-CLIP)
    return out.clamp_(-CLIP, CLIP)


def _shaded(planes: Tensor, streams: Streams, options: AugmentationOptions) -> Tensor:
    if exponents := _spread(streams, "gamma", options.gamma):
        planes = _bent(planes, np.exp(exponents))
    if gains := _spread(streams, "contrast", options.contrast):
        planes.mul_(column(np.exp(gains), planes))
    if offsets := _spread(streams, "brightness", options.brightness):
        planes.add_(column(offsets, planes))
    return planes


def _spread(streams: Streams, kind: str, spread: float) -> list[float]:
    """A number per patch; none without a spread."""
    return [rng.normal(0, spread) for rng in streams(kind, 1.0 if spread else 0.0).values()]


def _bent(planes: Tensor, exponents: np.ndarray) -> Tensor:
    """Gamma on the range in which almost all values lie, so that it bends but hardly shifts."""
    unit = ((planes + CLIP) / (2 * CLIP)).clamp_(0, 1)
    for patch, exponent in zip(unit, exponents.tolist(), strict=True):
        # one by one: at the end of a thread's share pow differs in the last bit, and the shares
        # of a whole batch end elsewhere than those of a patch
        patch.pow_(exponent).sub_(0.5**exponent)
    return unit.mul_(2 * CLIP)
