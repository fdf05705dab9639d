"""Filling closed lines: the voxels of a slice that lie inside, as runs along its rows.

A voxel is inside if its centre is. A centre exactly on a line belongs to what lies beyond it, at
greater x, or at greater y where the line runs along x: outlines that share a border share no voxel.

         columns  0   1   2   3   4   5          run of row 1: (1, 1, 4)
    row 0       |   |   |   |   |   |
    row 1       |  .|---|---|--.|   |            a line crosses the row's centre between 0 and 1
    row 2       |   |   |   |   |   |            (downwards, +1) and between 3 and 4 (upwards, -1)

Where the sum of the turns on the left is not 0 (rule "non-zero") or odd ("even-odd") lies a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.drawing import Points, Window, Yx

Rule = Literal["even-odd", "non-zero"]
"""What is inside where lines cross: an odd number of turns around it, or any but none."""

Runs = npt.NDArray[np.int32]
"""Shape (n, 3): row, first column, one past the last; in order, no two touch in a row."""


def fill(loops: Sequence[Points], *, shape_yx: Yx, rule: Rule) -> Runs:
    """Voxels inside `loops`, filled together; each ends where it begins.

    >>> square = np.array([[1, 1], [1, 3], [3, 3], [3, 1]], dtype=np.float32)
    >>> fill([square], shape_yx=(9, 9), rule="non-zero").tolist()
    [[1, 1, 3], [2, 1, 3]]
    """
    drawn = [loop for loop in loops if len(loop)]
    if not drawn:
        return np.zeros((0, 3), dtype=np.int32)
    points = np.concatenate(drawn).astype(np.float64)
    starts = np.cumsum([0, *map(len, drawn)])
    # rows whose centres lie between the topmost and the lowest point
    ends = np.ceil(np.array([points[:, 0].min(), points[:, 0].max()]) - 0.5)
    top, bottom = map(int, np.clip(ends, 0, shape_yx[0]))
    found: Runs = _runs(points, starts, top, bottom, shape_yx[1], rule == "non-zero")
    return found


def area(runs: Runs) -> int:
    """How many voxels."""
    return int((runs[:, 2] - runs[:, 1]).sum())


def overlap(one: Runs, other: Runs) -> int:
    """How many voxels are in both."""
    return int(_overlap(one, other))


def bounds(many: Sequence[Runs]) -> Window:
    """The smallest window around all `many`; an empty one at 0 if there are no voxels."""
    found = np.concatenate([np.zeros((0, 3), dtype=np.int32), *many])
    if not len(found):
        return Window((0, 0), (0, 0))
    low, high = found.min(axis=0), found.max(axis=0)
    return Window((int(low[0]), int(low[1])), (int(high[0]) + 1, int(high[2])))


def paint(runs: Runs, window: Window) -> npt.NDArray[np.bool_]:
    """True in the voxels of `runs` that lie in a window."""
    return weighted_sum([runs], [1.0], window) > 0


def weighted_sum(
    many: Sequence[Runs], weights: Sequence[float], window: Window
) -> npt.NDArray[np.float64]:
    """For every voxel of a window, the sum of the weights of those that hold it."""
    rows, columns = window.shape_yx
    steps = np.zeros((rows, columns + 1))
    for runs, weight in zip(many, weights, strict=True):
        _step(runs, *window.start, weight, steps)
    return np.cumsum(steps, axis=1, out=steps)[:, :-1]


@compiled
def _runs(points: Any, starts: Any, top: int, bottom: int, columns: int, nonzero: bool) -> Any:
    # a counting sort: first how many crossings each row has, then each at its place
    first = np.zeros(bottom - top + 1, dtype=np.int64)
    _cross(points, starts, top, bottom, columns, first, np.empty(0, dtype=np.int64), False)
    total = 0
    for row in range(bottom - top + 1):
        count = first[row]
        first[row] = total
        total += count
    crossings = np.empty(total, dtype=np.int64)
    # moves first[row] on to where the next row begins
    _cross(points, starts, top, bottom, columns, first, crossings, True)
    out = np.empty((total, 3), dtype=np.int32)
    found = 0
    begin = 0
    for row in range(bottom - top):
        crossings[begin : first[row]].sort()
        found = _row_runs(crossings[begin : first[row]], row + top, nonzero, out, found)
        begin = first[row]
    return out[:found].copy()


@compiled
def _cross(
    points: Any,
    starts: Any,
    top: int,
    bottom: int,
    columns: int,
    first: Any,
    crossings: Any,
    place: bool,
) -> None:
    """Counts per row where lines cross its centre, or places them: 2 x column, + 1 if downwards."""
    for loop in range(len(starts) - 1):
        y0, x0 = points[starts[loop + 1] - 1]
        for k in range(starts[loop], starts[loop + 1]):
            y1, x1 = points[k]
            # the upper end counts, the lower one does not: a corner is crossed once or twice
            begin = int(min(max(np.ceil(min(y0, y1) - 0.5), top), bottom))
            end = int(min(max(np.ceil(max(y0, y1) - 0.5), top), bottom))
            for row in range(begin, end):
                if place:
                    x = x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)
                    column = int(min(max(np.ceil(x - 0.5), 0), columns))
                    crossings[first[row - top]] = 2 * column + (y1 > y0)
                first[row - top] += 1
            y0, x0 = y1, x1


@compiled
def _row_runs(crossings: Any, row: int, nonzero: bool, out: Any, found: int) -> Any:
    turns = 0
    start = 0
    begun = found
    for crossing in crossings:
        column = crossing // 2
        was_inside = turns != 0 if nonzero else turns % 2 != 0
        turns += 1 if crossing % 2 else -1
        inside = turns != 0 if nonzero else turns % 2 != 0
        if inside and not was_inside:
            start = column
        elif was_inside and not inside and column > start:
            if found > begun and out[found - 1, 2] == start:  # runs that touch are one
                out[found - 1, 2] = column
            else:
                out[found, 0] = row
                out[found, 1] = start
                out[found, 2] = column
                found += 1
    return found


@compiled
def _overlap(one: Any, other: Any) -> Any:
    # both are in order: of two runs the one that ends first meets no further one
    both = 0
    i = 0
    j = 0
    while i < len(one) and j < len(other):
        if one[i, 0] == other[j, 0]:
            both += max(0, min(one[i, 2], other[j, 2]) - max(one[i, 1], other[j, 1]))
            one_ends = one[i, 2] <= other[j, 2]
        else:
            one_ends = one[i, 0] < other[j, 0]
        if one_ends:
            i += 1
        else:
            j += 1
    return both


@compiled
def _step(runs: Any, y: int, x: int, weight: float, steps: Any) -> None:
    """Adds `weight` where a run begins and takes it where it ends: sums along rows do the rest."""
    rows, columns = steps.shape
    for k in range(len(runs)):
        row = runs[k, 0] - y
        if 0 <= row < rows:
            steps[row, min(max(runs[k, 1] - x, 0), columns - 1)] += weight
            steps[row, min(max(runs[k, 2] - x, 0), columns - 1)] -= weight
