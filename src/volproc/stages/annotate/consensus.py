"""The methods that make one drawing of many, by name; and those that look at voxels alone.

Majority, EM, RASA and STAPLE are for comparison with CRIA in the same frame: every volunteer's
strokes are joined and filled in the same way, who drew nothing counts as an empty mask, and
volunteers are judged in a band around the outline, since anybody finds the background far away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import ceil

import numpy as np

from volproc.stages.annotate.ballots import Floats, count_ballots
from volproc.stages.annotate.cria import cria
from volproc.stages.annotate.cria2021 import cria2021
from volproc.stages.annotate.drawing import Method, Patch, Skills, SliceVotes
from volproc.stages.annotate.em import em
from volproc.stages.annotate.joining import join_limited
from volproc.stages.annotate.options import AnnotateOptions
from volproc.stages.annotate.rasa import rasa
from volproc.stages.annotate.rasterise import Runs, fill
from volproc.stages.annotate.staple import staple

Rule = Callable[[Floats, Floats], Floats]
"""From patterns of votes (m, n) and their counts (m,) to the agreement of each pattern (m,)."""

MARGIN_NM = 300.0
"""How far around the voxels where volunteers disagree the band reaches."""


def majority(patterns: Floats, voxels: Floats) -> Floats:
    """Share (m,) of volunteers who mark voxels with each of the `patterns` (m, n)."""
    share: Floats = patterns.mean(axis=1)
    return share


def by_voxel(
    rule: Rule,
    votes: SliceVotes,
    nm: tuple[float, float],
    skills: Skills,
    options: AnnotateOptions,
) -> Patch:
    """The agreement by a rule that sees the votes on each voxel alone; it finds skills itself."""
    margin = (ceil(MARGIN_NM / nm[0]), ceil(MARGIN_NM / nm[1]))
    ballots = count_ballots(
        _interiors(votes, nm, options), margin_yx=margin, shape_yx=votes.shape_yx
    )
    if ballots is None:
        return Patch((0, 0), np.zeros((0, 0), dtype=np.float32))
    if ballots.unanimous:  # there is no band to judge anybody in
        return ballots.map(majority(ballots.patterns, ballots.voxels))
    return ballots.map(rule(ballots.patterns, ballots.voxels))


def _interiors(votes: SliceVotes, nm: tuple[float, float], options: AnnotateOptions) -> list[Runs]:
    """What each volunteer marked, in an order that does not depend on that of the votes.

    Lines that stay open are closed straight: what they leave out the others have.
    """
    joined = [
        join_limited(vote.strokes, limit_nm=options.close_nm, nm=nm, shape_yx=votes.shape_yx)
        for vote in sorted(votes.votes, key=lambda vote: vote.volunteer)
    ]
    return [
        fill((*one.loops, *one.left_open), shape_yx=votes.shape_yx, rule="non-zero")
        for one in joined
    ]


METHODS: Mapping[str, Method] = {
    "cria": cria,
    "cria-2021": cria2021,
    "majority": partial(by_voxel, majority),
    "em": partial(by_voxel, em),
    "rasa": partial(by_voxel, rasa),
    "staple": partial(by_voxel, staple),
}
"""What `[annotate] method` chooses from."""
