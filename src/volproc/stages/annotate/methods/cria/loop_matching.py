"""Which closed lines of different volunteers are drawings of the same component of an object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from volproc.drawing import Points, SliceVotes, Vote, Yx
from volproc.stages.annotate.geometry.rasterisation import Runs, area, bounds, fill, overlap
from volproc.stages.annotate.methods.cria.stroke_joining import join_limited

MIN_OVERLAP = 0.2
"""Two lines may mean the same component from this overlap (IoU) of what they enclose on."""
HELD_SHARE = 0.5
"""A line is about a component if it holds this share of it, or lies in it with this share."""
TWICE_OVERLAP = 0.5
"""Two lines of one volunteer with this overlap (IoU) are one, drawn twice."""


@dataclass(frozen=True)
class Loop:
    """A closed line of vote number `vote`, and the voxels inside."""

    vote: int
    points: Points
    runs: Runs
    area: int


@dataclass(frozen=True)
class VoteLines:
    """The lines of one vote: each outline once, what they enclose, and lines that stay open."""

    loops: tuple[Loop, ...]
    interior: Runs
    left_open: tuple[Points, ...]

    @property
    def says_where(self) -> bool:
        """False for open lines alone: whoever drew them saw something, but did not say where."""
        return bool(self.loops) or not self.left_open


@dataclass(frozen=True)
class MatchedLoops:
    """The loops about one component of an object, of every vote that saw it, by its number.

    `medoid` is the loop that agrees best with those of the others.
    """

    medoid: Loop
    by_vote: dict[int, tuple[Loop, ...]]


def lines_of(votes: SliceVotes, *, close_nm: float, nm: tuple[float, float]) -> list[VoteLines]:
    """The lines of every vote on a slice, joined: closed ones hold a voxel or more."""
    return [
        _lines(vote, number, close_nm, nm, votes.shape_yx)
        for number, vote in enumerate(votes.votes)
    ]


def _lines(
    vote: Vote, number: int, close_nm: float, nm: tuple[float, float], shape_yx: Yx
) -> VoteLines:
    joined = join_limited(vote.strokes, limit_nm=close_nm, nm=nm, shape_yx=shape_yx)
    filled = (
        (points, fill([points], shape_yx=shape_yx, rule="non-zero")) for points in joined.loops
    )
    found = [Loop(number, points, runs, area(runs)) for points, runs in filled if len(runs)]
    once: list[Loop] = []
    for loop in sorted(found, key=lambda loop: -loop.area):
        if all(_iou(loop, other) < TWICE_OVERLAP for other in once):
            once.append(loop)
    return VoteLines(tuple(once), interior(once, shape_yx), joined.left_open)


def interior(loops: Sequence[Loop], shape_yx: Yx) -> Runs:
    """The voxels inside any of the loops."""
    if len(loops) == 1:
        return loops[0].runs
    return fill([loop.points for loop in loops], shape_yx=shape_yx, rule="non-zero")


def match(loops: Sequence[Loop], weights: Sequence[float]) -> list[MatchedLoops]:
    """All components that the loops are about, the one most votes agree on first.

    The loop most like those of the other votes (weighed by `weights`, one per vote) stands for a
    component; loops like it or inside it are drawings of it. The rest is about other components. A
    loop around several components counts for each of them. A vote saw a component if its loops hold
    half of it, or are like it.
    """
    areas = np.array([loop.area for loop in loops], dtype=float)
    votes = np.array([loop.vote for loop in loops], dtype=int)
    both = _overlaps(loops)  # voxels that each two loops share
    iou = both / np.maximum(areas[:, None] + areas[None] - both, 1)
    support = _support(iou, votes, np.asarray(weights, dtype=float))
    left = np.ones(len(loops), dtype=bool)
    found = []
    for seed in map(int, np.argsort(-support, kind="stable")):
        if left[seed]:
            inside = both[seed] >= HELD_SHARE * areas
            around = both[seed] >= HELD_SHARE * areas[seed]
            like = iou[seed] >= MIN_OVERLAP
            about = np.flatnonzero(like | inside | around)
            found.append(_matched(seed, about, loops, both, areas))
            left &= ~(like | inside)  # what lies around it may be about other components too
    return found


def _iou(one: Loop, other: Loop) -> float:
    both = overlap(one.runs, other.runs)
    return both / (one.area + other.area - both)


def _overlaps(loops: Sequence[Loop]) -> npt.NDArray[np.float64]:
    windows = [bounds([loop.runs]) for loop in loops]
    boxes = np.array([(*w.start, *w.stop) for w in windows]).reshape(-1, 4)
    both = np.diag([float(loop.area) for loop in loops])
    for one in range(len(loops)):
        later = boxes[one + 1 :]
        meets = (later[:, :2] < boxes[one, 2:]) & (boxes[one, :2] < later[:, 2:])
        for other in (one + 1 + np.flatnonzero(meets.all(axis=1))).tolist():
            shared = overlap(loops[one].runs, loops[other].runs)
            both[one, other] = both[other, one] = shared
    return both


def _support(
    iou: npt.NDArray[np.float64], votes: npt.NDArray[np.intp], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """For each loop, how much the best fitting loop of every vote is like it, summed."""
    best = np.zeros((len(votes), len(weights)))
    for number in range(len(votes)):
        best[:, votes[number]] = np.maximum(best[:, votes[number]], iou[:, number])
    return np.where(best >= MIN_OVERLAP, best, 0) @ weights


def _matched(
    seed: int,
    about: Iterable[int],
    loops: Sequence[Loop],
    both: npt.NDArray[np.float64],
    areas: npt.NDArray[np.float64],
) -> MatchedLoops:
    drawn: dict[int, list[int]] = {}
    for number in about:
        drawn.setdefault(loops[number].vote, []).append(number)
    by_vote = {}
    for vote, numbers in drawn.items():
        shared = both[seed, numbers].sum()
        iou = shared / (areas[seed] + areas[numbers].sum() - shared)
        if shared >= HELD_SHARE * areas[seed] or iou >= MIN_OVERLAP:
            by_vote[vote] = tuple(loops[number] for number in numbers)
    return MatchedLoops(loops[seed], by_vote)
