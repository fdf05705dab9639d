"""Which closed lines of different volunteers are drawings of the same piece of an object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from volproc.drawing import Points, Vote
from volproc.stages.annotate.geometry.rasterisation import Runs, area, fill, overlap
from volproc.stages.annotate.methods.cria.stroke_joining import join_limited

ALIKE = 0.2
"""Two lines may mean the same piece if they share this part of what they enclose together."""
HELD = 0.5
"""A line is about a piece if it holds this part of it, or lies in it with this part of its own."""
TWICE = 0.5
"""Two lines of one volunteer that share this part of their interiors are one, drawn twice."""


@dataclass(frozen=True)
class Loop:
    """A closed line of vote number `vote`, and the voxels inside."""

    vote: int
    points: Points
    runs: Runs
    area: int


@dataclass(frozen=True)
class VoteLines:
    """What one vote holds: each outline once, and lines that could not be closed."""

    loops: tuple[Loop, ...]
    left_open: tuple[Points, ...]


@dataclass(frozen=True)
class MatchedLoops:
    """One piece of an object: the loops of every vote that saw it, by the vote's number.

    `medoid` is the loop that agrees best with those of the others.
    """

    medoid: Loop
    seen: dict[int, tuple[Loop, ...]]


def drawn_by(
    vote: Vote,
    number: int,
    *,
    close_nm: float,
    nm: tuple[float, float],
    shape_yx: tuple[int, int],
) -> VoteLines:
    """The lines of vote `number`: closed ones that hold a voxel, and those left open."""
    joined = join_limited(vote.strokes, limit_nm=close_nm, nm=nm, shape_yx=shape_yx)
    found: list[Loop] = []
    for points in joined.loops:
        runs = fill([points], shape_yx=shape_yx, rule="non-zero")
        if len(runs):
            found.append(Loop(number, points, runs, area(runs)))
    once: list[Loop] = []
    for loop in sorted(found, key=lambda loop: -loop.area):
        if all(_shared(loop, other) < TWICE for other in once):
            once.append(loop)
    return VoteLines(tuple(once), joined.left_open)


def interior(loops: Sequence[Loop], shape_yx: tuple[int, int]) -> Runs:
    """The voxels inside any of the loops."""
    if len(loops) == 1:
        return loops[0].runs
    return fill([loop.points for loop in loops], shape_yx=shape_yx, rule="non-zero")


def match(loops: Sequence[Loop], weights: Sequence[float]) -> list[MatchedLoops]:
    """All pieces that the loops are about, the one most votes agree on first.

    The loop most like those of the other votes (weighed by `weights`, one per vote) stands for a
    piece; loops like it or inside it are drawings of it. The rest is about other pieces. A loop
    around several pieces counts for each of them. A vote saw a piece if its loops hold half of it,
    or are like it.
    """
    areas = np.array([loop.area for loop in loops], dtype=float)
    votes = np.array([loop.vote for loop in loops], dtype=int)
    both = _overlaps(loops)
    alike = both / np.maximum(areas[:, None] + areas[None] - both, 1)
    support = _support(alike, votes, np.asarray(weights, dtype=float))
    left = np.ones(len(loops), dtype=bool)
    found = []
    for seed in map(int, np.argsort(-support, kind="stable")):
        if left[seed]:
            inside = both[seed] >= HELD * areas
            about = (alike[seed] >= ALIKE) | inside | (both[seed] >= HELD * areas[seed])
            found.append(_fragment(seed, np.flatnonzero(about), loops, both, areas))
            left &= ~((alike[seed] >= ALIKE) | inside)
    return found


def _shared(one: Loop, other: Loop) -> float:
    both = overlap(one.runs, other.runs)
    return both / (one.area + other.area - both)


def _overlaps(loops: Sequence[Loop]) -> npt.NDArray[np.float64]:
    """Voxels that each two loops share."""
    boxes = np.array([_box(loop.runs) for loop in loops]).reshape(-1, 4)
    both = np.diag([float(loop.area) for loop in loops])
    for one in range(len(loops)):
        meets = (boxes[:, :2] < boxes[one, 2:]) & (boxes[one, :2] < boxes[:, 2:])
        for other in np.flatnonzero(meets.all(axis=1)):
            if other > one:
                both[one, other] = both[other, one] = overlap(
                    loops[one].runs, loops[int(other)].runs
                )
    return both


def _box(runs: Runs) -> tuple[int, int, int, int]:
    return runs[0, 0], runs[:, 1].min(), runs[-1, 0] + 1, runs[:, 2].max()


def _support(
    alike: npt.NDArray[np.float64],
    votes: npt.NDArray[np.intp],
    weights: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """For each loop, how much the best fitting loop of every vote is like it, summed."""
    best = np.zeros((len(votes), len(weights)))
    for number in range(len(votes)):
        best[:, votes[number]] = np.maximum(best[:, votes[number]], alike[:, number])
    return np.where(best >= ALIKE, best, 0) @ weights


def _fragment(
    seed: int,
    about: Iterable[int],
    loops: Sequence[Loop],
    both: npt.NDArray[np.float64],
    areas: npt.NDArray[np.float64],
) -> MatchedLoops:
    drawn: dict[int, list[int]] = {}
    for number in about:
        drawn.setdefault(loops[number].vote, []).append(number)
    seen = {}
    for vote, numbers in drawn.items():
        shared = both[seed, numbers].sum()
        alike = shared / (areas[seed] + areas[numbers].sum() - shared)
        if shared >= HELD * areas[seed] or alike >= ALIKE:
            seen[vote] = tuple(loops[number] for number in numbers)
    return MatchedLoops(loops[seed], seen)
