"""Bringing images to mean 0 and spread 1, with constants fixed once per volume.

Constants of a tile or a slice would make a voxel's value depend on the block it is read in;
these come from one sample of the whole volume and are then applied voxel by voxel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from volproc.compiled import compiled
from volproc.errors import VolumeError

Method = Literal["mean-std-unsaturated"]
"""How constants are found: mean and standard deviation of the voxels that are not saturated."""

METHOD: Method = "mean-std-unsaturated"
CLIP = 5.0
"""Normalised values are kept within -CLIP and CLIP."""


@dataclass(frozen=True)
class Normalisation:
    """(value - mean) / std, clipped to +-CLIP."""

    mean: float
    std: float

    def apply(self, values: Tensor) -> Tensor:
        """`values` normalised, float32, each voxel on its own; NaN becomes 0, the mean."""
        if values.dtype == torch.uint8 and values.ndim == 4 and not values.is_cuda:
            return _looked_up(values, self.apply(torch.arange(256, dtype=torch.uint8)))
        scaled = values.to(torch.float32, copy=True).sub_(self.mean).mul_(1 / self.std)
        if values.is_floating_point():
            scaled.nan_to_num_(nan=0.0, posinf=CLIP, neginf=-CLIP)
        return scaled.clamp_(-CLIP, CLIP)


def _looked_up(planes: Tensor, table: Tensor) -> Tensor:
    """`table` of each voxel, channels last: one pass over planes (N, C, H, W) of any strides."""
    out = torch.empty(planes.shape, dtype=table.dtype, memory_format=torch.channels_last)
    _look_up(planes.numpy(), table.numpy(), out.permute(0, 2, 3, 1).numpy())
    return out


@compiled
def _look_up(
    planes: npt.NDArray[np.uint8], table: npt.NDArray[np.float32], out: npt.NDArray[np.float32]
) -> None:
    for n in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                for channel in range(out.shape[3]):
                    out[n, y, x, channel] = table[planes[n, channel, y, x]]


def constants_from(sample: npt.NDArray[Any]) -> Normalisation:
    """Constants for a volume from a sample of it, such as a coarse pyramid level.

    Whole-number voxels at either end of their type (0 and 255 for uint8) are left out: they are
    padding, burnt-out or lost. Without anything else to go by they are taken after all.
    VolumeError when no voxel is a number.
    """
    if sample.dtype in (np.uint8, np.uint16):
        return _from_counts(sample)
    finite = sample[np.isfinite(sample)]
    if finite.size == 0:
        raise VolumeError(
            "a volume without a single finite voxel cannot be normalised; check its source"
        )
    known = finite
    if np.issubdtype(sample.dtype, np.integer):
        ends = np.iinfo(sample.dtype)
        inside = finite[(finite > ends.min) & (finite < ends.max)]
        known = inside if inside.size else finite
    return _constants(known.mean(dtype=np.float64), known.std(dtype=np.float64))


def _from_counts(sample: npt.NDArray[Any]) -> Normalisation:
    """The same from a histogram: a sample of 10^8 voxels needs no copy."""
    top = int(np.iinfo(sample.dtype).max)
    rows = np.atleast_2d(sample)
    counts = sum(np.bincount(row.ravel(), minlength=top + 1) for row in rows)
    inside = np.asarray(counts, np.float64)
    if inside[1:top].any():
        inside[[0, top]] = 0
    if not inside.any():
        raise VolumeError("a volume without voxels cannot be normalised; check its source")
    values = np.arange(top + 1)
    mean = np.average(values, weights=inside)
    return _constants(mean, np.sqrt(np.average((values - mean) ** 2, weights=inside)))


def _constants(mean: Any, std: Any) -> Normalisation:
    return Normalisation(float(mean), float(std) if std > 0 else 1.0)
