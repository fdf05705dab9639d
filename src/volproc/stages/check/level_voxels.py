"""Whether a coarser level can have come from a finer one: pure kernels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import ceil, floor
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Box, Shape, each
from volproc.volume.metadata import Kind

MARGIN = 1
"""Finer voxels around those under a coarser one that may have counted."""


@dataclass(frozen=True)
class Windows:
    """Which finer voxels each coarser one may come from: `finer` and `coarser` cover the same.

    A coarser voxel covers n / m finer ones of an axis of n and m; or, where rounding of the size
    explains the difference, a whole number of them. Both are allowed for, and one voxel around.
    """

    finer: Shape
    coarser: Shape

    @property
    def halo(self) -> Shape:
        """More finer voxels on each side than any window reaches beyond its coarser voxel."""
        return each(lambda n, m: 2 * ceil(n / m) + MARGIN + 1, self.finer, self.coarser)

    def under(self, box: Box) -> Box:
        """Coarser voxels that lie whole in `box` of the finer ones."""
        start = each(lambda a, n, m: ceil(a * m / n), box.start, self.finer, self.coarser)
        stop = each(lambda b, n, m: m if b == n else b * m // n, box.stop, self.finer, self.coarser)
        return Box(start, each(max, start, stop))

    def along(
        self, axis: int, start: int, stop: int
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """First finer voxel, and one past the last, of coarser voxels `start` to `stop`."""
        n, m = self.finer[axis], self.coarser[axis]
        even = n / m
        whole = max(1, round(even))
        if abs(n - m * whole) > whole:
            return _ends(start, stop, even, even, n)
        return _ends(start, stop, min(even, whole), max(even, whole), n)


def _ends(
    start: int, stop: int, least: float, most: float, size: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    numbers = range(start, stop)
    first = [min(size - 1, max(0, floor(j * least) - MARGIN)) for j in numbers]
    last = [min(size, ceil((j + 1) * most) + MARGIN) for j in numbers]
    return np.array(first, dtype=np.intp), np.array(last, dtype=np.intp)


def outside(
    coarse: npt.NDArray[Any],
    fine: npt.NDArray[Any],
    *,
    windows: Windows,
    box: Box,
    origin: Shape,
    kind: Kind,
) -> npt.NDArray[np.bool_]:
    """Which voxels of `coarse` cannot come from `fine`, whose first voxel is at `origin`.

    Those of an image beyond the smallest and largest value in their window (numbers that are not a
    number aside); those of labels whose value does not occur there. `coarse` covers `box`.
    """
    taps = []
    for axis in range(3):
        first, end = windows.along(axis, box.start[axis], box.stop[axis])
        width = int((end - first).max(initial=1))
        taps.append([np.minimum(first + k, end - 1) - origin[axis] for k in range(width)])
    return _absent(coarse, fine, taps) if kind == "labels" else _beyond(coarse, fine, taps)


def _beyond(
    coarse: npt.NDArray[Any], fine: npt.NDArray[Any], taps: list[list[npt.NDArray[np.intp]]]
) -> npt.NDArray[np.bool_]:
    low = high = fine
    for axis, along in enumerate(taps):
        lows, highs = low.take(along[0], axis=axis), high.take(along[0], axis=axis)
        for indices in along[1:]:
            lows = np.minimum(lows, low.take(indices, axis=axis))
            highs = np.maximum(highs, high.take(indices, axis=axis))
        low, high = lows, highs
    if fine.dtype.kind == "f":
        slack = 1e-6 * np.maximum(np.abs(low), np.abs(high))
        low, high = low - slack, high + slack
    wrong: npt.NDArray[np.bool_] = (coarse < low) | (coarse > high)  # never where one is NaN
    return wrong


def _absent(
    coarse: npt.NDArray[Any], fine: npt.NDArray[Any], taps: list[list[npt.NDArray[np.intp]]]
) -> npt.NDArray[np.bool_]:
    seen = np.zeros(coarse.shape, dtype=np.bool_)
    for places in product(*taps):
        seen |= fine[np.ix_(*places)] == coarse
    return ~seen
