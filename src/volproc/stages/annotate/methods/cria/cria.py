"""CRIA, the default method: components matched, their outlines averaged, volunteers weighed.

DESIGN.md beside this file says how and why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from volproc.drawing import Patch, Points, Skills, SliceVotes, Window, Yx
from volproc.stages.annotate.geometry.line_distance import signed_distance
from volproc.stages.annotate.geometry.polylines import Line, evenly
from volproc.stages.annotate.geometry.rasterisation import bounds, weighted_sum
from volproc.stages.annotate.methods.cria.alignment import Drawing, matched
from volproc.stages.annotate.methods.cria.averaging import mean
from volproc.stages.annotate.methods.cria.loop_matching import (
    MatchedLoops,
    VoteLines,
    interior,
    lines_of,
    match,
)
from volproc.stages.annotate.options import AnnotateOptions

STEP_NM = 70.0
"""Between points of an outline; a hundredth of it where that is less. At 40 the error hardly falls
(31 volunteers: 14.1 nm instead of 14.3), and it costs 1.7 times as much."""
REACH_NM = 600.0
"""How far apart two drawings of the same place may be; a third of its outline for small ones."""
FAR_NM = 400.0
"""Farther from the outline than this, the majority knows better on which side a voxel is."""
OVERLOOKED = 0.5
"""Leaving a component out beside others weighs less than drawing it: few people invent one."""
MIN_SHARE = 0.1
"""A smaller share of a component or of its outline says nothing of its place."""
MIN_SKILL = 1e-3
"""Nobody counts for less."""
MAX_OF_OTHERS = 0.9
"""Nobody counts for more than this share of all others together. A skill is an estimate, a poor one
after few slices, and must not overrule what two of three volunteers draw alike."""
BELOW_HALF = np.nextafter(np.float32(0.5), np.float32(0))
UNIFORM_WIDTH = 2 * math.sqrt(3)
"""Width of a uniform distribution over its standard deviation."""


def cria(
    votes: SliceVotes, nm: tuple[float, float], skills: Skills, options: AnnotateOptions
) -> Patch:
    """Probability that a voxel lies inside, from what each volunteer drew of each component.

    A component exists if enough of those who looked drew it, and ends where their lines agree best;
    its inside is no surer than its existence. Elsewhere the agreement is the share of volunteers
    around a voxel, below 0.5.
    """
    weights = [max(skills.get(vote.volunteer, 1.0), MIN_SKILL) for vote in votes.votes]
    drawn = lines_of(votes, close_nm=options.close_nm, nm=nm)
    slice_ = _Slice(drawn, _balanced(weights), nm, votes.shape_yx)
    components: list[tuple[Patch, float]] = []
    trusted: set[int] = set()
    for loops in match([loop for one in drawn for loop in one.loops], slice_.skills):
        presence = slice_.presence(loops, trusted)
        if presence >= 0.5 - 1e-9:
            trusted |= loops.by_vote.keys()
            components.append((slice_.inside(loops), max(presence, 0.5)))
    whole = slice_.share([patch for patch, _ in components])
    np.minimum(whole.values, BELOW_HALF, out=whole.values)
    for patch, most in components:
        _raise_to(patch, most, whole)
    return whole


@dataclass(frozen=True)
class _Slice:
    """What the votes on a slice hold, and how much each counts."""

    drawn: Sequence[VoteLines]
    skills: Sequence[float]
    nm: tuple[float, float]
    shape_yx: Yx

    def share(self, components: Sequence[Patch]) -> Patch:
        """The share of volunteers whose interior a voxel is, in a window around `components`."""
        interiors = [one.interior for one in self.drawn]
        pairs = zip(self.skills, self.drawn, strict=True)
        weights = [skill if one.says_where else 0.0 for skill, one in pairs]
        window = bounds(interiors)
        for patch in components:
            window = window.join(patch.window)
        total = weighted_sum(interiors, weights, window)
        return Patch(window.start, (total / max(sum(weights), MIN_SKILL)).astype(np.float32))

    def presence(self, loops: MatchedLoops, trusted: set[int]) -> float:
        """How likely a component is real, from who drew it and who did not.

        Of the first component, everybody's vote counts alike. Of others, those who saw none of the
        components before (are not `trusted`) count half if they drew this one, and not at all if
        they did not. Who left a line open denies nothing.
        """
        yes = no = 0.0
        overlooked = OVERLOOKED if trusted and len(loops.by_vote) > 1 else 1.0
        for vote, (skill, one) in enumerate(zip(self.skills, self.drawn, strict=True)):
            sure = not trusted or vote in trusted
            if vote in loops.by_vote:
                yes += skill * (1.0 if sure else 0.5)
            elif sure and not one.left_open:
                no += skill * overlooked
        return yes / (yes + no)

    def inside(self, loops: MatchedLoops) -> Patch:
        """The share of those who saw a component who would put a voxel inside it.

        As if all were equally steady: their lines lie around the mean line with the typical spread,
        uniformly, so the share falls from 1 to 0 over 2 sqrt(3) spreads.
        """
        line, spread = self._outline(loops)
        window = self._window(loops, line)
        distance = signed_distance(line, window, nm=self.nm, reach_nm=FAR_NM)
        values = np.clip(0.5 + distance / (UNIFORM_WIDTH * spread), 0, 1)
        runs = [interior(own, self.shape_yx) for own in loops.by_vote.values()]
        skills = [self.skills[vote] for vote in loops.by_vote]
        share = weighted_sum(runs, skills, window) / sum(skills)
        far = (np.abs(distance) >= FAR_NM) & ((share >= 0.5) != (distance > 0))
        values[far] = share[far]
        return Patch(window.start, values)

    def _outline(self, loops: MatchedLoops) -> tuple[Points, float]:
        """The mean of the lines around a component, in voxels, and their typical spread, in nm."""
        size = np.array(self.nm)
        medoid = loops.medoid.points * size
        around = float(np.linalg.norm(medoid - np.roll(medoid, 1, axis=0), axis=1).sum())
        step, reach = min(STEP_NM, around / 100), min(REACH_NM, around / 3)
        reference = evenly(medoid, step)
        places, skills, quorum = [], [], 0.0
        for vote, skill in enumerate(self.skills):
            closed, opened = self._lines(loops, vote)
            place = matched(
                reference, Drawing.of(closed, opened, step=step), step=step, reach=reach
            )
            if np.isfinite(place[:, 0]).mean() >= MIN_SHARE:
                places.append(place)
                skills.append(skill)
                quorum += 0.5 * skill * bool(closed)
        found = mean(reference, np.stack(places), np.array(skills), step=step, quorum=quorum)
        return (found.line / size).astype(np.float32), float(np.median(found.spreads))

    def _lines(self, loops: MatchedLoops, vote: int) -> tuple[list[Line], list[Line]]:
        """In nm: the loops of one vote about a component; or, without any, its open lines."""
        size, smallest = np.array(self.nm), MIN_SHARE * loops.medoid.area
        closed = [one.points * size for one in loops.by_vote.get(vote, ()) if one.area >= smallest]
        return closed, [] if closed else [line * size for line in self.drawn[vote].left_open]

    def _window(self, loops: MatchedLoops, line: Points) -> Window:
        """The part of the slice around the line, and around the component as most drew it."""
        windows = [bounds([one.runs for one in own]) for own in loops.by_vote.values()]
        # open lines move the outline too: it may lie beyond all that was closed
        far = FAR_NM / np.array(self.nm)
        low = np.median([window.start for window in windows], axis=0)
        high = np.median([window.stop for window in windows], axis=0)
        low = np.minimum(low, line.min(axis=0) - far)
        high = np.maximum(high, line.max(axis=0) + far)
        return Window.around(low, high, self.shape_yx)


def _balanced(skills: Sequence[float]) -> list[float]:
    """The skills of three or more on a slice, such that nobody outweighs all others together."""
    if len(skills) < 3:  # of two who differ, the better one is right more often
        return list(skills)
    _, *others = sorted(skills, reverse=True)
    most = max(MAX_OF_OTHERS * sum(others), others[0])
    return [min(skill, most) for skill in skills]


def _raise_to(patch: Patch, most: float, whole: Patch) -> None:
    """Raises values of `whole` to those of a `patch` in it, but to no more than `most`."""
    y, x = np.subtract(patch.origin_yx, whole.origin_yx)
    rows, columns = patch.values.shape
    part = whole.values[y : y + rows, x : x + columns]
    np.maximum(part, np.minimum(patch.values, np.float32(most)), out=part)
