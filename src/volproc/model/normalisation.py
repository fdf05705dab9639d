"""Bringing images to mean 0 and spread 1, with constants fixed once per volume.

Constants of a tile or a slice would make a voxel's value depend on the block it is read in;
these come from one sample of the whole volume and are then applied voxel by voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.errors import VolumeError
from volproc.lazy import lazy

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = lazy("torch")

Method = Literal["mean-std-unsaturated"]
"""How constants are found: mean and standard deviation of the voxels that are neither saturated nor
outliers."""

METHOD: Method = "mean-std-unsaturated"
CLIP = 5.0
"""Normalised values are kept within -CLIP and CLIP."""
TAILS = (0.02, 0.0005)
"""Shares of voxels below and above the range that tells outliers."""
QUANTILES = 65
"""Grey values that describe a distribution."""
QUANTILE_VOXELS = 2**22
"""Voxels that the range is found from, at the most about twice as many, evenly picked."""


@dataclass(frozen=True)
class Normalisation:
    """(value - mean) / std, clipped to +-CLIP."""

    mean: float
    std: float
    flat: bool = False
    """Whether all voxels but outliers are equal: there is nothing to see."""

    def apply(self, values: Tensor) -> Tensor:
        """`values` normalised, float32, each voxel on its own; NaN becomes 0, the mean."""
        if values.dtype == torch.uint8 and values.ndim == 4 and not values.is_cuda:
            return looked_up(values, self.apply(torch.arange(256, dtype=torch.uint8)))
        scaled = values.to(torch.float32, copy=True).sub_(self.mean).mul_(1 / self.std)
        if values.is_floating_point():
            scaled.nan_to_num_(nan=0.0, posinf=CLIP, neginf=-CLIP)
        return scaled.clamp_(-CLIP, CLIP)


@dataclass(frozen=True)
class MatchedGreys:
    """A rising table that gives a volume the distribution of the greys a network learnt from.

    Straight between the quantiles; beyond them, and for voxels that are saturated or outliers, as
    steep as `normalisation`, clipped to +-CLIP.
    """

    normalisation: Normalisation
    raw: tuple[float, ...]
    """Grey values of the volume, rising."""
    normal: tuple[float, ...]
    """What they become, one for each."""

    def apply(self, values: Tensor) -> Tensor:
        """`values` matched, float32, each voxel on its own; NaN becomes 0, the mean."""
        if values.dtype == torch.uint8:
            table = self._matched(torch.arange(256, device=values.device))
            if values.ndim == 4 and not values.is_cuda:
                return looked_up(values, table)
            return table[values.int()]
        return self._matched(values)

    def _matched(self, values: Tensor) -> Tensor:
        known = values.to(torch.float32).nan_to_num(nan=self.normalisation.mean)
        raw, normal = (_there(n, values.device) for n in (self.raw, self.normal))
        after = torch.bucketize(known.contiguous(), raw[1:-1]) + 1
        low, high = raw[after - 1], raw[after]
        share = (known.clamp(raw[0], raw[-1]) - low) / (high - low)
        beyond = (known - known.clamp(raw[0], raw[-1])) / self.normalisation.std
        matched = normal[after - 1].lerp(normal[after], share) + beyond
        return matched.nan_to_num_(nan=0.0).clamp_(-CLIP, CLIP)


def _there(numbers: Sequence[float], device: torch.device) -> Tensor:
    """`numbers` on a device; the host does not wait for a GPU."""
    here = torch.tensor(numbers)
    return here.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else here


def looked_up(planes: Tensor, table: Tensor) -> Tensor:
    """`table` of each uint8 voxel of planes (N, C, H, W), any strides; channels last.

    One pass on a CPU; on a GPU two, as torch takes 32 bits at least to look up by.
    """
    if planes.is_cuda:
        rows = planes.to(torch.int32, memory_format=torch.channels_last)
        return table[rows].contiguous(memory_format=torch.channels_last)
    out = torch.empty(planes.shape, dtype=table.dtype, memory_format=torch.channels_last)
    _look_up(planes.numpy(), table.numpy(), out.permute(0, 2, 3, 1).numpy())
    return out


@compiled
def _look_up(planes: npt.NDArray[np.uint8], table: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    for n in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                for channel in range(out.shape[3]):
                    out[n, y, x, channel] = table[planes[n, channel, y, x]]


def constants_from(sample: npt.NDArray[Any]) -> Normalisation:
    """Constants for a volume from a sample of it, such as a coarse pyramid level.

    Whole-number voxels at either end of their type (0 and 255 for uint8) are left out: they are
    padding, burnt-out or lost; without anything else to go by they are taken after all. So are
    outliers (`fences`). VolumeError when no voxel is a number.
    """
    return _normalisation(*_usual(sample))


def matched_constants(
    sample: npt.NDArray[Any], match: Sequence[float]
) -> Normalisation | MatchedGreys:
    """As `constants_from`, but the volume's `grey_quantiles` are brought to those of `match`."""
    values, counts = _usual(sample)
    found = _normalisation(values, counts)
    raw = _spread_quantiles(values, counts, len(match))
    # several quantiles of one grey value: it becomes their mean
    known, which = np.unique(raw.astype(np.float32), return_inverse=True)
    normal = np.bincount(which, weights=match) / np.bincount(which)
    if known.size < 2:
        return found
    return MatchedGreys(found, tuple(known.tolist()), tuple(normal.tolist()))


def grey_quantiles(sample: npt.NDArray[Any]) -> tuple[float, ...]:
    """Normalised grey values below which 0, 1/64, ..., 1 of a volume's voxels lie.

    Of those that `constants_from` takes its constants from.
    """
    values, counts = _usual(sample)
    found = _normalisation(values, counts)
    scaled = (_spread_quantiles(values, counts, QUANTILES) - found.mean) / found.std
    return tuple(round(float(value), 4) for value in scaled.clip(-CLIP, CLIP))


def _usual(sample: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64] | None]:
    """Values that are neither saturated nor outliers, and how many there are of each (None: 1)."""
    values, counts = _counted(sample) if sample.dtype in (np.uint8, np.uint16) else _known(sample)
    if not values.size:
        raise VolumeError(
            "a volume without a single finite voxel cannot be normalised; check its source"
        )
    low, high = fences(values, counts)
    inside = (values >= low) & (values <= high)
    if not inside.all():
        values, counts = values[inside], None if counts is None else counts[inside]
    return values, counts


def _normalisation(
    values: npt.NDArray[Any], counts: npt.NDArray[np.float64] | None
) -> Normalisation:
    mean = np.average(values, weights=counts) if counts is not None else values.mean(dtype=float)
    if counts is None:
        std = values.std(dtype=np.float64)
    else:
        std = np.sqrt(np.average((values - mean) ** 2, weights=counts))
    return Normalisation(float(mean), float(std) if std > 0 else 1.0, flat=not std > 0)


def _spread_quantiles(
    values: npt.NDArray[Any], counts: npt.NDArray[np.float64] | None, number: int
) -> npt.NDArray[np.float64]:
    """The values at `number` equally spaced shares from 0 to 1, straight between neighbours."""
    shares = np.linspace(0, 1, number)
    if counts is None:
        some = values[:: max(1, values.size // QUANTILE_VOXELS)]
        return np.asarray(np.quantile(some, shares), np.float64)
    below = (np.cumsum(counts) - counts / 2) / counts.sum()
    return np.asarray(np.interp(shares, below, values))


def fences(
    values: npt.NDArray[Any], counts: npt.NDArray[np.float64] | None = None
) -> tuple[float, float]:
    """The lowest and the highest of `values` that are no outliers; `counts` says how many of each.

    As far beyond the 2nd and 98th percentiles as these are apart: three times the range of nearly
    all voxels, so that images without outliers keep every voxel. Where nearly all are equal, the
    0.05th and 99.95th count: what so few voxels hold may still be a cell in empty resin.
    """
    low = high = 0.0
    for tail in TAILS:
        low, high = _quantiles(values, counts, tail)
        if low < high:
            break
    return low - (high - low), high + (high - low)


def _quantiles(
    values: npt.NDArray[Any], counts: npt.NDArray[np.float64] | None, tail: float
) -> tuple[float, float]:
    """Values that the share `tail` lies below, and above."""
    if counts is None:
        some = values[:: max(1, values.size // QUANTILE_VOXELS)]
        low, high = np.quantile(some, (tail, 1 - tail), method="nearest")
        return float(low), float(high)
    below = np.cumsum(counts)
    ends = np.searchsorted(below, (tail * below[-1], (1 - tail) * below[-1]))
    return float(values[ends[0]]), float(values[ends[1]])


def _counted(sample: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """The values of a histogram and their counts: a sample of 10^8 voxels needs no copy."""
    top = int(np.iinfo(sample.dtype).max)
    rows = np.atleast_2d(sample)
    counts = np.asarray(sum(np.bincount(row.ravel(), minlength=top + 1) for row in rows), float)
    if counts[1:top].any():
        counts[[0, top]] = 0
    there = np.flatnonzero(counts)
    return there, counts[there]


def _known(sample: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], None]:
    """Voxels that are numbers and not saturated."""
    finite = sample[np.isfinite(sample)]
    if not np.issubdtype(sample.dtype, np.integer):
        return finite, None
    ends = np.iinfo(sample.dtype)
    inside = finite[(finite > ends.min) & (finite < ends.max)]
    return inside if inside.size else finite, None
