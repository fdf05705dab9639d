"""16-bit and float grey values as uint8, with two constants for the whole volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import IngestError
from volproc.grid.blocks import Block
from volproc.grid.box import Box, Shape

PERCENTILES = (0.1, 99.9)
"""Of the sample: dust and charging beyond them are cut off."""
SAMPLED_PLANES = 16
QUANTILES = 2001
"""Of one plane; fine enough for both percentiles."""


@dataclass(frozen=True)
class GreyRange:
    """Grey values that become 0 and 255; those beyond are cut off."""

    low: float
    high: float

    def apply(self, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """`values` as uint8, rounded half to even."""
        scale = np.float64(255) / (self.high - self.low)
        mapped = (values.astype(np.float32) - np.float32(self.low)) * np.float32(scale)
        whole: npt.NDArray[np.uint8] = np.rint(mapped).clip(0, 255).astype(np.uint8)
        return whole


def sample_blocks(shape: Shape) -> tuple[Block, ...]:
    """Planes spread evenly over the volume, the first and the last left out where there are more.

    >>> [block.core.start[0] for block in sample_blocks((64, 8, 8))][:3]
    [2, 6, 10]
    """
    planes = min(SAMPLED_PLANES, shape[0])
    places = [(2 * n + 1) * shape[0] // (2 * planes) for n in range(planes)]
    boxes = [Box((z, 0, 0), (z + 1, *shape[1:])) for z in places]
    return tuple(Block(index, box, box) for index, box in enumerate(boxes))


def quantiles(plane: npt.NDArray[Any]) -> list[float]:
    """Quantiles of a plane at even steps from 0 to 1; empty where all its voxels are alike."""
    finite = plane[np.isfinite(plane)]
    if finite.size == 0 or finite.min() == finite.max():
        return []
    steps = np.linspace(0, 1, QUANTILES)
    return [float(q) for q in np.quantile(finite.astype(np.float64), steps)]


def grey_range(sample: Sequence[Sequence[float]]) -> GreyRange:
    """The range between two percentiles of all sampled planes; IngestError if there is none."""
    pooled = np.array([value for plane in sample for value in plane])
    if pooled.size == 0:
        raise IngestError(
            "all sampled slices are blank, so there is no range of grey values to map to uint8; "
            "keep the type, or state [ingest] grey_range"
        )
    low, high = (float(p) for p in np.percentile(pooled, PERCENTILES))
    if low == high:
        raise IngestError(
            f"nearly all grey values are {low:g}, so there is no range to map to uint8; keep the "
            "type, or state [ingest] grey_range"
        )
    return GreyRange(low, high)
