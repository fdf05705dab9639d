"""From strokes to closed lines: which ends of what one volunteer drew belong together.

Line k has the ends 2 k (its first point) and 2 k + 1 (its last); `end ^ 1` is the other end.

    0 ────── 1   2 ────── 3         partner[1] = 2, partner[3] = 4, partner[5] = 0:
          ╰───── 5 ─ 4 ───╯         one closed line, the third stroke (4 to 5) turned round
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import product

import numpy as np
import numpy.typing as npt

from volproc.drawing import Points, Stroke
from volproc.stages.annotate.geometry.image_border import Frame
from volproc.stages.annotate.geometry.polylines import Line, length
from volproc.stages.annotate.methods.cria.retracing import overrun, without_retraces

OWN_ENDS = 0.5
"""The distance of a line's own two ends counts by this factor: volunteers close what they draw."""
CLOSED_SHARE = 0.125
"""A line whose ends are no farther apart than this share of its length is an outline by itself."""
MAX_GAP_SHARE = 0.5
"""A line whose ends are farther apart than this share of its length is too straight to close."""


@dataclass(frozen=True)
class JoinedLines:
    """Closed lines, each ending where it begins, and those that could not be closed; voxels.

    All closed lines turn the same way, so that no two cancel where they are filled together.
    """

    loops: tuple[Points, ...] = ()
    left_open: tuple[Points, ...] = ()


def join_greedy(strokes: Sequence[Stroke]) -> tuple[Points, ...]:
    """Closed lines: the two free ends nearest to one another are joined, until none is left.

    As published: by a straight line, however long; a stroke's own ends may be the nearest. Of
    pairs equally near, the one drawn first is joined first. Strokes without points are left out.
    """
    drawn = [stroke for stroke in strokes if len(stroke.points)]
    lines = [stroke.points for stroke in drawn if not stroke.closed]
    closed = [stroke.points for stroke in drawn if stroke.closed]
    return (*closed, *map(np.concatenate, _follow(lines, _nearest_pairs(lines))))


def _nearest_pairs(lines: Sequence[Line]) -> npt.NDArray[np.intp]:
    """For each end the one it is joined to.

    In each round all pairs are joined whose ends are nearest to each other. That gives the same
    pairs as joining one at a time, the nearest first: nothing can part a mutually nearest pair.
    """
    ends = np.concatenate([np.zeros((0, 2)), *(line[[0, -1]] for line in lines)])
    apart = np.square(ends[:, None] - ends[None]).sum(axis=2)
    np.fill_diagonal(apart, np.inf)
    partner = np.full(len(ends), -1)
    free = np.arange(len(ends))
    while len(free):
        nearest = apart[np.ix_(free, free)].argmin(axis=1)
        mutual = nearest[nearest] == np.arange(len(free))
        partner[free[mutual]] = free[nearest[mutual]]
        free = free[~mutual]
    return partner


def _follow(lines: Sequence[Line], partner: npt.NDArray[np.intp]) -> Iterator[list[Line]]:
    """The closed lines that arise when each end is joined to its partner, as their pieces."""
    left = dict.fromkeys(range(len(lines)))
    while left:
        end = 2 * next(iter(left))
        pieces = []
        while end // 2 in left:
            del left[end // 2]
            pieces.append(lines[end // 2][:: 1 - 2 * (end % 2)])
            end = int(partner[end ^ 1])
        yield pieces


def join_limited(
    strokes: Sequence[Stroke],
    *,
    limit_nm: float,
    nm: tuple[float, float],
    shape_yx: tuple[int, int],
) -> JoinedLines:
    """Closed lines, joined where a volunteer would say that they belong together.

    - Ends up to `limit_nm` apart are joined by straight lines, the nearest first, a line's own ends
      at half their distance.
    - A line whose ends are nearer than an eighth of its length is an outline by itself: two such
      lines never join.
    - Gaps longer than the limit are closed where all of them are at most an eighth of an outline.
    - A line that retraces what was drawn is left out.
    - Ends at the border of the image (of `shape_yx` voxels) are joined along it, by the shorter
      path, over any distance.
    """
    size = np.array(nm)
    closed = [s.points for s in strokes if s.closed and len(s.points) > 2]
    lines = [s.points * size for s in strokes if not s.closed and len(s.points) > 1]
    drawn = [line for line in lines if length(line) > 0]
    frame = Frame((shape_yx[0] * nm[0], shape_yx[1] * nm[1]), margin_nm=limit_nm / 2)
    chains = _join_once(drawn, limit_nm, frame)
    loops = (*closed, *((line / size).astype(np.float32) for line in chains.loops))
    return JoinedLines(
        loops=tuple(map(_turned, loops)),
        left_open=tuple((line / size).astype(np.float32) for line in chains.open.values()),
    )


def _turned(loop: Points) -> Points:
    """The line, turned round if it runs against the sense of rotation that all have."""
    y, x = loop.T.astype(np.float64)
    return loop if np.dot(y, np.roll(x, 1)) >= np.dot(x, np.roll(y, 1)) else loop[::-1]


def _join_once(lines: Sequence[Line], limit: float, frame: Frame) -> _Chains:
    """All lines joined; what was drawn twice counts once, unless more stays open that way."""
    once = without_retraces(lines, limit / 2)
    chains = _joined(once, limit, frame)
    if chains.open and len(once) < len(lines):
        # both sides of something thin look like one line drawn twice
        everything = _joined(lines, limit, frame)
        if len(everything.open) < len(chains.open):
            return everything
    return chains


def _joined(lines: Sequence[Line], limit: float, frame: Frame) -> _Chains:
    chains = _Chains(limit, frame)
    for line in lines:
        chains.add(line)
    chains.join()
    chains.close_rest()
    return chains


@dataclass
class _Chains:
    """Lines in nm that grow together at their ends until they are closed.

    `_waiting` is a heap of proposals: distance, line and end (0 first point, 1 last), line and end.
    """

    limit: float
    frame: Frame
    open: dict[int, Line] = field(default_factory=dict)
    loops: list[Line] = field(default_factory=list)
    _alone: dict[int, bool] = field(default_factory=dict)
    _waiting: list[tuple[float, int, int, int, int]] = field(default_factory=list)

    def add(self, line: Line) -> None:
        """A line, and all it may be joined to; closed at once where it returns to its start."""
        returned = overrun(line, self.limit / 2)
        if returned is not None:
            self.loops.append(returned)
            return
        number = len(self._alone)
        gap = float(np.linalg.norm(line[0] - line[-1]))
        self._alone[number] = gap <= CLOSED_SHARE * length(line)
        self._propose_others(number, line)
        self.open[number] = line
        self._propose_itself(number, line, gap)

    def join(self) -> None:
        """Joins the nearest ends until none are left that may be."""
        while self._waiting:
            _, one, end, other, other_end = heappop(self._waiting)
            if one not in self.open or other not in self.open:
                continue
            first = self.open.pop(one)[:: 1 if end else -1]
            target = first[0] if one == other else self.open[other][-other_end]
            path = self.frame.path(first[-1], target)
            if one == other:
                self.loops.append(np.concatenate([first, path]))
            else:
                second = self.open.pop(other)[:: -1 if other_end else 1]
                self.add(np.concatenate([first, path, second]))

    def close_rest(self) -> None:
        """Closes what is left by longer gaps, where they are a small part of an outline."""
        lines = list(self.open.values())
        rest = []
        for pieces in _follow(lines, _nearest_pairs(lines)):
            loop = np.concatenate(pieces)
            around = length(loop[[*range(len(loop)), 0]])
            if around - sum(map(length, pieces)) <= CLOSED_SHARE * around:
                self.loops.append(loop)
            else:
                rest += pieces
        self.open = dict(enumerate(rest))

    def _propose_itself(self, number: int, line: Line, gap: float) -> None:
        drawn = length(line)
        if self.frame.leaves(line[0]) and self.frame.leaves(line[-1]):
            gap = self.frame.distance(line[0], line[-1])
        elif not (self._alone[number] or gap <= min(self.limit, MAX_GAP_SHARE * drawn)):
            return
        heappush(self._waiting, (OWN_ENDS * gap, number, 1, number, 0))

    def _propose_others(self, number: int, line: Line) -> None:
        others = [n for n in self.open if not (self._alone[n] and self._alone[number])]
        if not others:
            return
        ends = np.array([self.open[n][[0, -1]] for n in others])
        for end in (0, 1):
            apart = np.linalg.norm(ends - line[-end], axis=2)
            for k, other_end in np.argwhere(apart <= self.limit):
                pair = (number, end, others[k], int(other_end))
                heappush(self._waiting, (float(apart[k, other_end]), *pair))
            if self.frame.leaves(line[-end]):
                self._propose_along_border(number, end, line[-end], others)

    def _propose_along_border(
        self, number: int, end: int, point: Line, others: Sequence[int]
    ) -> None:
        for other, other_end in product(others, (0, 1)):
            target = self.open[other][-other_end]
            if self.frame.leaves(target):
                along = self.frame.distance(point, target)
                heappush(self._waiting, (along, number, end, other, other_end))
