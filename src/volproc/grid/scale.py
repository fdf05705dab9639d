"""Voxel sizes, the grids they span, and how to resample from one grid to another in phase.

Voxel i of a grid with voxels of `s` nm covers the interval [i * s, (i + 1) * s) from the
volume's corner; all grids of a volume share that corner. So a position on one grid has one
position on every other, whatever block it is computed in:

    native    |-----|-----|-----|-----|-----|-----|      50 nm
    model     |--------|--------|--------|--------|      75 nm: voxel 1 covers 75 to 150 nm
              ^ corner

Of two volumes in one space, one grid begins `offset` input voxels behind the other's corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from typing import NewType

import numpy as np
import numpy.typing as npt

from volproc.errors import GridError
from volproc.grid.blocks import reflected
from volproc.grid.box import Box, Shape, each

VoxelNm = NewType("VoxelNm", tuple[float, float, float])
"""Voxel size in nm, (z, y, x), all positive. Made by `parse_voxel_nm` only."""


def parse_voxel_nm(values: Sequence[float]) -> VoxelNm:
    """Voxel size from three positive, finite numbers in nm; GridError otherwise."""
    numbers = [float(v) for v in values]
    if len(numbers) != 3 or not all(isfinite(v) and v > 0 for v in numbers):
        raise GridError(f"a voxel size needs three positive numbers in nm (z, y, x), got {numbers}")
    return VoxelNm((numbers[0], numbers[1], numbers[2]))


def rescaled_shape(shape: Shape, *, source_nm: VoxelNm, target_nm: VoxelNm) -> Shape:
    """Voxels of `target_nm` that cover a volume: the last one may reach beyond by less than half.

    >>> native, isotropic = VoxelNm((50, 10, 10)), VoxelNm((50, 50, 50))
    >>> rescaled_shape((518, 8192, 8192), source_nm=native, target_nm=isotropic)
    (518, 1638, 1638)
    """
    return each(lambda n, s, t: max(1, int(n * s / t + 0.5)), shape, source_nm, target_nm)


@dataclass(frozen=True)
class Taps:
    """How output voxels of one axis are weighted sums of input voxels.

    `indices` and `weights` have shape (outputs, taps); indices count from `first`,
    the first input voxel needed, and stay below `count`.
    """

    first: int
    count: int
    indices: npt.NDArray[np.intp]
    weights: npt.NDArray[np.float32]

    def part(self, start: int, stop: int) -> Taps:
        """The taps of outputs `start` to `stop` only; its `first` counts from this one's."""
        indices = self.indices[start:stop]
        lowest = int(indices.min())
        count = int(indices.max()) - lowest + 1
        return Taps(lowest, count, indices - lowest, self.weights[start:stop])


def taps(start: int, stop: int, *, size_in: int, size_out: int, factor: float) -> Taps:
    """Weights for output voxels `start` to `stop` of an axis that is `factor` times coarser.

    A triangle of half-width max(1, factor) input voxels around the output voxel's centre:
    linear interpolation when refining, anti-aliased when coarsening, identity at factor 1.
    Output voxels beyond the volume are mirrored ones; input beyond its end has no weight.
    The weights of a voxel depend on its position in the volume only, never on the block.
    """
    out = reflected(start, stop, size_out)
    half_width = max(1.0, factor)
    centre = (out + 0.5) * factor - 0.5
    lowest = np.floor(centre - half_width).astype(np.intp) + 1
    raw = lowest[:, None] + np.arange(ceil(2 * half_width))
    weights = np.maximum(0.0, 1.0 - np.abs(raw - centre[:, None]) / half_width)
    weights[(raw < 0) | (raw >= size_in)] = 0.0
    # a last output voxel that reaches beyond the input may have no tap inside: it repeats the last
    lost = weights.sum(axis=1) == 0
    weights[lost, 0] = 1.0
    weights /= weights.sum(axis=1, keepdims=True)
    inside = np.clip(raw, 0, size_in - 1)
    inside[lost] = size_in - 1
    first, last = int(inside.min()), int(inside.max())
    return Taps(first, last - first + 1, inside - first, weights.astype(np.float32))


NOISE = 1e-4
"""Of a voxel, by which centres that are computed from sizes in nm may be off."""


def nearest(
    start: int, stop: int, *, size_in: int, factor: float, offset: float = 0.0
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The input voxels nearest to the centre of each output voxel, on either side of it.

    They are one and the same, the voxel that holds the centre, unless it lies on the border of two:
    as all do at even factors.

    >>> [side.tolist() for side in nearest(0, 2, size_in=4, factor=2)]
    [[0, 2], [1, 3]]
    """
    centres = (np.arange(start, stop) + 0.5) * factor + offset
    border = np.rint(centres)
    between = np.abs(centres - border) <= NOISE
    high = np.where(between, border, np.floor(centres)).astype(np.intp)
    low = high - between
    return np.clip(low, 0, size_in - 1), np.clip(high, 0, size_in - 1)


def covering(
    box: Box,
    *,
    factor: tuple[float, float, float],
    shape_in: Shape,
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Box:
    """Input voxels nearest to the centres of the output voxels of `box` (see `nearest`)."""
    ranges = [
        nearest(a, b, size_in=n, factor=f, offset=o)
        for a, b, n, f, o in zip(box.start, box.stop, shape_in, factor, offset, strict=True)
    ]
    return Box(each(lambda r: int(r[0][0]), ranges), each(lambda r: int(r[1][-1]) + 1, ranges))


def covered(
    size_out: int, *, size_in: int, factor: float, offset: float, slack: float = 1.0
) -> tuple[int, int]:
    """Output voxels whose centres lie in the input: the first, and one past the last.

    Grids round a volume's length. So where both begin together, ends that differ by less than
    `slack` voxels of the coarser grid are the same end; elsewhere, up to half a voxel of another
    size is.

    >>> covered(10, size_in=8, factor=1.0, offset=-4.0)
    (4, 10)
    """
    beyond = abs(offset + size_out * factor - size_in)
    if offset == 0 and beyond < slack * max(1.0, factor):
        return 0, size_out
    first = max(0, ceil(-offset / factor - 0.5 - 1e-6))
    end = min(size_out, ceil((size_in - offset) / factor - 0.5 - 1e-6))
    rounded = abs(factor - 1) > 0.01 and beyond <= max(1.0, factor) / 2
    return first, size_out if rounded and first < end else max(first, end)
