"""Level sets of a slice: the lines inside which at least k volunteers place the object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from volproc.drawing import Patch, Points, SliceVotes
from volproc.stages.annotate.geometry.outline import outline
from volproc.stages.annotate.geometry.rasterisation import bounds, weighted_sum
from volproc.stages.annotate.methods.cria.loop_matching import lines_of

MAX_SHOWN = 8
"""Levels in one picture; with more volunteers, every second, third, ... is left out."""


@dataclass(frozen=True)
class Level:
    """Closed lines, points (y, x) in voxels of the region, around what `at_least` many enclose."""

    at_least: int
    lines: tuple[Points, ...]


def inside_counts(votes: SliceVotes, *, close_nm: float, nm: tuple[float, float]) -> Patch:
    """How many volunteers drew around each voxel, as float64; each counts once.

    Strokes are joined as `cria` joins them; lines that stay open enclose nothing.
    """
    interiors = [one.interior for one in lines_of(votes, close_nm=close_nm, nm=nm)]
    # one voxel more on all sides, so that lines do not end at the edge of the patch
    window = bounds(interiors).grow(1, votes.shape_yx)
    return Patch(window.start, weighted_sum(interiors, [1.0] * len(interiors), window))


def level_sets(counts: Patch, shape_yx: tuple[int, int]) -> tuple[Level, ...]:
    """Some or all of the levels from 1 to the most that agree on a voxel, the lowest first."""
    most = int(counts.values.max(initial=0))
    return tuple(
        # half-way between k - 1 and k volunteers lies what `outline` takes for the border
        Level(k, _lines(Patch(counts.origin_yx, counts.values - (k - 1)), shape_yx))
        for k in shown(most)
    )


def _lines(above: Patch, shape_yx: tuple[int, int]) -> tuple[Points, ...]:
    return tuple(line.astype(np.float32) for line in outline(above, shape_yx))


def shown(most: int) -> tuple[int, ...]:
    """The levels to draw of `most`: the first and the last among them, evenly spread.

    >>> shown(4), shown(21)
    ((1, 2, 3, 4), (1, 4, 7, 10, 12, 15, 18, 21))
    """
    spread = np.linspace(1, most, min(most, MAX_SHOWN))
    return tuple(int(k) for k in np.floor(spread + 0.5))
