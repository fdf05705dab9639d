"""Votes on a slice, counted: which voxels were marked by the same volunteers.

Volunteers who look at one object differ along its outline only. So a slice of a million voxels
holds some hundreds of different patterns of yes and no, and a method that looks at each voxel
alone can look at each pattern once instead, weighted by how many voxels have it.

    voxels   . . 1 1 3 3 3 3 2 .     bit k: volunteer k marked it; here of two volunteers
    which    0 0 2 2 1 1 1 1 3 0     row 0: nobody, row 1: everybody, then as they are found
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from volproc.compiled import compiled
from volproc.drawing import Patch, Window, Yx
from volproc.stages.annotate.geometry.rasterisation import Runs, bounds

Floats = npt.NDArray[np.float64]

_AT_ONCE = 32
"""Volunteers whose votes make one number; 32 more bits hold which pattern those before made."""


@dataclass(frozen=True)
class VotePatterns:
    """Patterns of votes in the band where volunteers disagree, and where each of them is.

    `patterns` (m, n) has a row per pattern and a column per volunteer, 1 for inside; the first
    row is nobody's, the second everybody's. `voxels` (m,) counts the voxels of the band with each
    pattern. `which` holds the row of every voxel of a box that begins at `origin_yx`.
    """

    origin_yx: Yx
    patterns: Floats
    voxels: Floats
    which: npt.NDArray[np.int64]

    @property
    def unanimous(self) -> bool:
        """Whether volunteers disagree nowhere."""
        return len(self.patterns) == 2

    def map(self, agreement: Floats) -> Patch:
        """The patch in which each pattern has its `agreement` (m,); the unanimous stay so."""
        values = agreement.astype(np.float32)
        values[:2] = 0, 1
        return Patch(self.origin_yx, values[self.which])


def count_patterns(
    interiors: Sequence[Runs], *, margin_yx: Yx, shape_yx: Yx
) -> VotePatterns | None:
    """The votes of all volunteers (no runs for an empty one); None if nobody marked anything.

    The band is where they disagree, grown by `margin_yx` voxels.
    """
    if not any(map(len, interiors)):
        return None
    window = bounds(interiors).grow(margin_yx, shape_yx)
    codes = [
        _codes(interiors[first : first + _AT_ONCE], window)
        for first in range(0, len(interiors), _AT_ONCE)
    ]
    anyone = np.any([code != 0 for code, _ in codes], axis=0)
    everyone = np.all([code == full for code, full in codes], axis=0)
    disagree = anyone & ~everyone
    patterns, rows, voxels = _patterns([code[disagree] for code, _ in codes], len(interiors))
    band = _grown(disagree, margin_yx)
    sure = [np.count_nonzero(band & ~anyone), np.count_nonzero(band & everyone)]
    which = everyone.astype(np.int64)
    which[disagree] = rows + 2
    return VotePatterns(
        origin_yx=window.start,
        patterns=np.vstack([np.zeros(len(interiors)), np.ones(len(interiors)), patterns]),
        voxels=np.concatenate([sure, voxels]).astype(np.float64),
        which=which,
    )


def _codes(interiors: Sequence[Runs], window: Window) -> tuple[npt.NDArray[np.uint32], np.uint32]:
    """Which volunteers marked each voxel, a bit each; and the bits of all of them."""
    codes = np.zeros(window.shape_yx, dtype=np.uint32)
    for volunteer, runs in enumerate(interiors):
        _mark(runs, *window.start, np.uint32(1 << volunteer), codes)
    return codes, np.uint32((1 << len(interiors)) - 1)


def _patterns(
    codes: Sequence[npt.NDArray[np.uint32]], volunteers: int
) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Different votes, shape (m, volunteers), which of them each voxel has, and how many do."""
    patterns = np.zeros((1, 0))
    rows = np.zeros(len(codes[0]), dtype=np.int64)
    counts = np.array([len(rows)])
    for first, code in zip(range(0, volunteers, _AT_ONCE), codes, strict=True):
        # upper half: the pattern among the volunteers before; lower half: the votes of these
        both = rows << _AT_ONCE | code.astype(np.int64)
        known, rows, counts = np.unique(both, return_inverse=True, return_counts=True)
        bits = np.arange(min(_AT_ONCE, volunteers - first))
        patterns = np.hstack([patterns[known >> _AT_ONCE], known[:, None] >> bits & 1])
    return patterns, rows, counts


def _grown(mask: npt.NDArray[np.bool_], by_yx: Yx) -> npt.NDArray[np.bool_]:
    """The mask and all voxels of a box of `by_yx` on every side of one of its own."""
    grown = mask.view(np.uint8)
    for axis, by in enumerate(by_yx):
        grown = ndimage.maximum_filter1d(grown, 2 * by + 1, axis=axis, mode="constant")
    return grown.view(np.bool_)


@compiled
def _mark(runs: Runs, y: int, x: int, bit: np.uint32, codes: npt.NDArray[np.uint32]) -> None:
    for k in range(len(runs)):
        for column in range(runs[k, 1] - x, runs[k, 2] - x):
            codes[runs[k, 0] - y, column] |= bit
