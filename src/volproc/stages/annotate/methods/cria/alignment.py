"""Several drawings of one outline and their mean, point by point along it.

A hand slips by more than the narrow parts of an outline are wide, but slowly: neighbouring points
are off alike. So each drawing is matched to a reference such that the displacement from one to the
other changes as little as possible (dynamic time warping, Sakoe and Chiba, IEEE TASSP 26:43, 1978,
with displacements compared instead of places), and matched points are averaged (as Petitjean et
al., Pattern Recognition 44:678, 2011, do for series). What is narrower than the slips then stays;
the mean of masks or of distances loses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.stages.annotate.geometry.polylines import Line, evenly, resampled

STIFFNESS = 0.0014
"""Price of lying away from the reference, over that of a change of the displacement: the square of
a step over a slip, divided by the number of steps along which a slip lasts."""
LEAP_STEPS = 3
"""To leave a drawing, or to come back to it, costs as much as a displacement that changes by so
many steps at once."""
GAP_REACH = 0.7
"""A point that the drawing lacks costs as much as one that lies this part of the reach away."""
FORWARD = 4
"""Points of a drawing that may lie between two that are matched to neighbours."""
MAX_NEAR = 160
"""Points of a drawing considered for each of the reference: the nearest."""


@dataclass(frozen=True)
class Drawing:
    """Points in nm along what one volunteer drew, and the point before each; -1 for a beginning.

    Beginnings and ends of open lines are `ends`.
    """

    points: npt.NDArray[np.float64]
    before: npt.NDArray[np.int64]
    ends: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, loops: Sequence[Line], left_open: Sequence[Line], *, step: float) -> Drawing:
        """Points about `step` nm apart; open lines count in both directions."""
        closed = [evenly(loop, step) for loop in loops]
        opened = [resampled(line, step, at_least=9) for line in left_open]
        lines = [*closed, *opened, *(line[::-1] for line in opened)]
        starts = np.cumsum([0, *map(len, lines)])
        first, last = starts[:-1], starts[1:] - 1
        is_open = np.arange(len(lines)) >= len(closed)
        before = np.arange(starts[-1]) - 1
        before[first] = np.where(is_open, -1, last)
        ends = np.isin(np.arange(starts[-1]), [first[is_open], last[is_open]])
        return cls(np.concatenate([np.zeros((0, 2)), *lines]), before, ends)


def matched(
    reference: npt.NDArray[np.float64], drawing: Drawing, *, step: float, reach: float
) -> npt.NDArray[np.float64]:
    """Where each point of the reference is on a drawing; nan where it is not within `reach`."""
    if not len(drawing.points):
        return np.full_like(reference, np.nan)
    which = np.empty(len(reference), dtype=np.int64)
    near, many = _within(reference, drawing.points, reach)
    prices = (STIFFNESS, (LEAP_STEPS * step) ** 2, step**2 + STIFFNESS * (GAP_REACH * reach) ** 2)
    _follow(reference, drawing.points, drawing.before, near, many, prices, which)
    # beyond the end of an open line, its last point is the nearest to every point of the reference
    known = (which >= 0) & ~drawing.ends[which]
    return np.where(known[:, None], drawing.points[which], np.nan)


@compiled
def _within(reference: Any, points: Any, reach: float) -> Any:
    """For each point of the reference the nearest of a drawing within reach, and how many."""
    near = np.empty((len(reference), MAX_NEAR), dtype=np.int32)
    many = np.zeros(len(reference), dtype=np.int32)
    squared = np.empty(len(points))
    for s in range(len(reference)):
        y, x = reference[s]
        found = 0
        for t in range(len(points)):
            dy, dx = points[t, 0] - y, points[t, 1] - x
            squared[t] = dy * dy + dx * dx
            found += squared[t] < reach * reach
        farthest = np.inf
        if found > MAX_NEAR:  # of the last that there is room for
            farthest = np.partition(squared, MAX_NEAR - 1)[MAX_NEAR - 1]
        for t in range(len(points)):
            if squared[t] < reach * reach and squared[t] <= farthest and many[s] < MAX_NEAR:
                near[s, many[s]] = t
                many[s] += 1
    return near, many


@compiled
def _follow(
    reference: Any, points: Any, before: Any, near: Any, many: Any, prices: Any, which: Any
) -> None:
    """Puts into `which`, for every point of the reference, its point on the drawing; -1 for none.

    Circular dynamic time warping. The cheapest path through this table, one column per step:

        step r            0     1     2    ...            n + n/2 - 1     reference point r % n
        near[s, 0]        .     .   ╭─o─╮
        near[s, 1]        . ╭───o───╯   ╰─o───      on the drawing: from a point 0 to FORWARD behind
        ...               o─╯                       price: squared change of the displacement,
        near[s, many]     .     .     .             and stiffness x squared displacement
        no point        ──o─────o─────o───          off the drawing: `missing` a step, and `change`
                                                    to leave it or to come back
        kept               |<-- the n steps from n/4 on -->|

    Where a closed path begins is not known. After a quarter of a round it no longer matters, and in
    the last quarter where it ends does not matter yet: so one and a half rounds are gone.
    """
    stiffness, change, missing = prices
    n = len(reference)
    steps = n + n // 2
    none = max(many.max(), 1)  # the row of "no point": the last of the table
    back = np.empty((steps, none + 1), dtype=np.int32)  # the row before, on the cheapest path
    price = np.full(len(points), np.inf)  # of a path that has come to this point of the drawing
    slot = np.full(len(points), -1, dtype=np.int32)  # the row of that point
    fresh = np.empty(none)
    nothing = 0.0  # the price of a path that is off the drawing
    for r in range(steps):
        s, q = r % n, (r - 1) % n
        left, back[r, none] = nothing, none
        for k in range(many[q]):
            if price[near[q, k]] + change < left:
                left = price[near[q, k]] + change
                back[r, none] = k
        for k in range(many[s]):
            t = near[s, k]
            enter = nothing + change
            fresh[k], back[r, k] = _enter(
                reference, points, before, price, slot, t, s, q, enter, none
            )
            dy, dx = points[t, 0] - reference[s, 0], points[t, 1] - reference[s, 1]
            fresh[k] += stiffness * (dy * dy + dx * dx)
        nothing = left + missing
        for k in range(many[q]):  # points that are near q only cannot be reached from s
            price[near[q, k]] = np.inf
        for k in range(many[s]):
            price[near[s, k]] = fresh[k]
            slot[near[s, k]] = k
    _trace_back(which, near, back, fresh[: many[(steps - 1) % n]], nothing)


@compiled
def _trace_back(which: Any, near: Any, back: Any, last: Any, nothing: float) -> None:
    """Writes the middle of the cheapest path into `which`; it ends at one of `last`, or at none."""
    n, at = len(which), back.shape[1] - 1
    for k in range(len(last)):
        if last[k] < nothing:
            nothing = last[k]
            at = k
    for r in range(len(back) - 1, -1, -1):
        if n // 4 <= r < n // 4 + n:
            which[r % n] = near[r % n, at] if at < back.shape[1] - 1 else -1
        at = back[r, at]


@compiled
def _enter(
    reference: Any,
    points: Any,
    before: Any,
    price: Any,
    slot: Any,
    t: int,
    s: int,
    q: int,
    least: float,
    none: int,
) -> Any:
    """The cheapest way to point `t` at `s`, and the row it comes from.

    It comes from `t` or a point at most FORWARD before it, or from no point for `least`.
    """
    origin = none
    p = t
    for _ in range(FORWARD + 1):
        if price[p] < np.inf:
            # displacement at s less that at q
            dy = points[t, 0] - points[p, 0] - reference[s, 0] + reference[q, 0]
            dx = points[t, 1] - points[p, 1] - reference[s, 1] + reference[q, 1]
            total = price[p] + dy * dy + dx * dx
            if total < least:
                least = total
                origin = slot[p]
        p = before[p]
        if p < 0:
            break
    return least, origin
