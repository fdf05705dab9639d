"""CRIA, our default: pieces matched, their outlines averaged point by point, volunteers weighed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from volproc.drawing import Patch, Points, Skills, SliceVotes
from volproc.stages.annotate.alignment import Drawing, evenly, matched
from volproc.stages.annotate.averaging import mean
from volproc.stages.annotate.distances import signed_distance
from volproc.stages.annotate.fragments import Drawn, Fragment, drawn_by, interior, match
from volproc.stages.annotate.options import AnnotateOptions
from volproc.stages.annotate.rasterise import Runs, bounds, weighted_sum

STEP_NM = 70.0
"""Between points of an outline; a hundredth of it where that is less. At 40 lines are no nearer to
the truth (31 volunteers: 14.1 nm instead of 14.3), and cost 1.7 times as much."""
REACH_NM = 600.0
"""How far apart two drawings of the same place may be; a third of its outline for small pieces."""
FAR_NM = 400.0
"""Farther from the outline than this, the majority knows better on which side a voxel is."""
OVERLOOKED = 0.5
"""Not to draw a piece next to others counts for less than to draw it: few invent one."""
PART = 0.1
"""A smaller part of a piece or of its outline says nothing of its place."""
MIN_SKILL = 1e-3
"""Nobody counts for less, unless for nothing."""
MAX_OF_OTHERS = 0.9
"""Nobody counts for more than this part of all others together: a skill is an estimate, of few
slices a poor one, and what two of three volunteers draw alike is not overruled by it."""
BELOW_HALF = np.nextafter(np.float32(0.5), np.float32(0))


def cria(
    votes: SliceVotes, nm: tuple[float, float], skills: Skills, options: AnnotateOptions
) -> Patch:
    """Probability that a voxel lies inside, from what each volunteer drew of each piece.

    A piece exists if enough of those who looked drew it, and ends where their lines agree best;
    what it holds is no surer than that it exists. Elsewhere the agreement is the share of
    volunteers around a voxel, below 0.5.
    """
    slice_ = _Slice(
        drawn=[
            drawn_by(vote, number, close_nm=options.close_nm, nm=nm, shape_yx=votes.shape_yx)
            for number, vote in enumerate(votes.votes)
        ],
        skills=_balanced([max(skills.get(vote.volunteer, 1.0), MIN_SKILL) for vote in votes.votes]),
        nm=nm,
        shape_yx=votes.shape_yx,
    )
    pieces: list[tuple[Patch, float]] = []
    trusted: set[int] = set()
    for fragment in match([loop for one in slice_.drawn for loop in one.loops], slice_.skills):
        presence = slice_.presence(fragment, trusted)
        if presence >= 0.5 - 1e-9:
            trusted |= fragment.seen.keys()
            pieces.append((slice_.inside(fragment), max(presence, 0.5)))
    whole = slice_.share([patch for patch, _ in pieces])
    np.minimum(whole.values, BELOW_HALF, out=whole.values)
    for patch, most in pieces:
        _raise_to(patch, most, whole)
    return whole


@dataclass(frozen=True)
class _Slice:
    """What the votes on a slice hold, and how much each counts."""

    drawn: Sequence[Drawn]
    skills: Sequence[float]
    nm: tuple[float, float]
    shape_yx: tuple[int, int]

    def share(self, pieces: Sequence[Patch]) -> Patch:
        """The part of those who looked around whose interior a voxel is, in a box with `pieces`.

        Who drew nothing but lines that stay open saw something, but did not say where.
        """
        interiors = [interior(one.loops, self.shape_yx) for one in self.drawn]
        looked = [
            skill if one.loops or not one.left_open else 0.0
            for skill, one in zip(self.skills, self.drawn, strict=True)
        ]
        origin, shape = bounds([*interiors, *map(_ends, pieces)])
        total = weighted_sum(interiors, looked, origin_yx=origin, shape_yx=shape)
        return Patch(origin, (total / max(sum(looked), MIN_SKILL)).astype(np.float32))

    def presence(self, fragment: Fragment, trusted: set[int]) -> float:
        """How likely a piece is one, from who drew it and who did not; `trusted` saw others.

        Of the first piece, everybody's vote counts alike. Of others, those who saw none of the
        pieces before count half if they drew this one, and not at all if they did not. Who left a
        line open denies nothing.
        """
        yes = no = 0.0
        overlooked = OVERLOOKED if trusted and len(fragment.seen) > 1 else 1.0
        for vote, (skill, one) in enumerate(zip(self.skills, self.drawn, strict=True)):
            sure = not trusted or vote in trusted
            if vote in fragment.seen:
                yes += skill * (1.0 if sure else 0.5)
            elif sure and not one.left_open:
                no += skill * overlooked
        return yes / (yes + no)

    def inside(self, fragment: Fragment) -> Patch:
        """How many of those who saw a piece would put a voxel inside, were all equally steady."""
        line, spread = self._outline(fragment)
        origin, shape = self._window(fragment, line)
        distance = signed_distance(
            line, origin_yx=origin, shape_yx=shape, nm=self.nm, reach_nm=FAR_NM
        )
        values = np.clip(0.5 + distance / (2 * math.sqrt(3) * spread), 0, 1)
        runs = [interior(loops, self.shape_yx) for loops in fragment.seen.values()]
        skills = [self.skills[vote] for vote in fragment.seen]
        share = weighted_sum(runs, skills, origin_yx=origin, shape_yx=shape) / sum(skills)
        far = (np.abs(distance) >= FAR_NM) & ((share >= 0.5) != (distance > 0))
        values[far] = share[far]
        return Patch(origin, values)

    def _outline(self, fragment: Fragment) -> tuple[Points, float]:
        """The mean of the lines around a piece, in voxels, and what most are off, in nm."""
        size = np.array(self.nm)
        medoid = fragment.medoid.points * size
        around = float(np.linalg.norm(medoid - np.roll(medoid, 1, axis=0), axis=1).sum())
        step = min(STEP_NM, around / 100)
        reach = min(REACH_NM, around / 3)
        reference = evenly(medoid, step)
        places, skills, quorum = [], [], 0.0
        for vote, one in enumerate(self.drawn):
            loops = [
                loop.points * size
                for loop in fragment.seen.get(vote, ())
                if loop.area >= PART * fragment.medoid.area
            ]
            parts = [] if loops else [line * size for line in one.left_open]
            if loops or parts:
                drawing = Drawing.of(loops, parts, step=step)
                place = matched(reference, drawing, step=step, reach=reach)
                if np.isfinite(place[:, 0]).mean() >= PART:
                    places.append(place)
                    skills.append(self.skills[vote])
                    quorum += 0.5 * self.skills[vote] * bool(loops)
        found = mean(reference, np.stack(places), np.array(skills), step=step, quorum=quorum)
        return (found.line / size).astype(np.float32), float(np.median(found.spreads))

    def _window(self, fragment: Fragment, line: Points) -> tuple[tuple[int, int], tuple[int, int]]:
        """The part of the slice around the line, and around the piece as most of them drew it."""
        boxes = [bounds([loop.runs for loop in loops]) for loops in fragment.seen.values()]
        low = np.median([first for first, _ in boxes], axis=0)
        high = np.median([np.add(first, lengths) for first, lengths in boxes], axis=0)
        low = np.minimum(low, line.min(axis=0) - FAR_NM / np.array(self.nm))
        high = np.maximum(high, line.max(axis=0) + FAR_NM / np.array(self.nm))
        # open lines move the outline too: it may lie beyond all that was closed
        first = np.clip(np.floor(low), 0, self.shape_yx).astype(int)
        shape = np.clip(np.ceil(high), 0, self.shape_yx).astype(int) - first
        return (int(first[0]), int(first[1])), (int(shape[0]), int(shape[1]))


def _balanced(skills: Sequence[float]) -> list[float]:
    """The skills of three or more on a slice, such that nobody outweighs all others together."""
    if len(skills) < 3:  # of two who differ, the better one is right more often
        return list(skills)
    _, *others = sorted(skills, reverse=True)
    most = max(MAX_OF_OTHERS * sum(others), others[0])
    return [min(skill, most) for skill in skills]


def _ends(patch: Patch) -> Runs:
    """The first and the last row of a patch."""
    (y, x), (rows, columns) = patch.origin_yx, patch.values.shape
    ends = [[y, x, x + columns], [y + rows - 1, x, x + columns]]
    return np.array(ends, dtype=np.int32)


def _raise_to(patch: Patch, most: float, whole: Patch) -> None:
    """Raises values of `whole` to those of a `patch` in it, but to no more than `most`."""
    y, x = np.subtract(patch.origin_yx, whole.origin_yx)
    rows, columns = patch.values.shape
    part = whole.values[y : y + rows, x : x + columns]
    np.maximum(part, np.minimum(patch.values, np.float32(most)), out=part)
