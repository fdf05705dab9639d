"""Methods that see the votes on each voxel alone: majority, EM, RASA and STAPLE.

They serve for comparison with CRIA under the same conditions: every volunteer's strokes are joined
and filled in the same way, a volunteer who drew nothing counts as an empty mask, and volunteers are
judged in a band around the outline, since anybody gets the background far away right.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np
from scipy.special import expit, logit

from volproc.drawing import Patch, Skills, SliceVotes
from volproc.stages.annotate.geometry.rasterisation import Runs, fill
from volproc.stages.annotate.methods.cria.stroke_joining import join_limited
from volproc.stages.annotate.methods.vote_patterns import Floats, count_patterns
from volproc.stages.annotate.options import AnnotateOptions

Rule = Callable[[Floats, Floats], Floats]
"""From patterns of votes (m, n) and how many voxels have each (m,) to the agreement of each pattern
(m,)."""

MARGIN_NM = 300.0
"""How far the band reaches around the voxels on which volunteers disagree."""
ROUNDS, MIN_CHANGE = 100, 1e-6
"""EM and RASA stop after so many rounds, or when no probability changes by more than this."""
STAPLE_ROUNDS, STAPLE_MIN_CHANGE = 1000, 1e-7
SURE = 1e-6
"""EM takes nobody to be right, or wrong, more surely than this; STAPLE a tenth of it."""
STAPLE_START = 0.99999
"""Sensitivity and specificity of everyone in the first round."""
EQUAL_WEIGHT = 1e-5
"""Added to a distance, so that a mask equal to the aggregate has a finite weight in RASA."""


def by_voxel(
    rule: Rule, votes: SliceVotes, nm: tuple[float, float], skills: Skills, options: AnnotateOptions
) -> Patch:
    """The agreement by a `rule` that estimates skills by itself."""
    margin = (ceil(MARGIN_NM / nm[0]), ceil(MARGIN_NM / nm[1]))
    found = count_patterns(
        _interiors(votes, nm, options), margin_yx=margin, shape_yx=votes.shape_yx
    )
    if found is None:
        return Patch((0, 0), np.zeros((0, 0), dtype=np.float32))
    # where all agree there is no band to judge anybody in
    return found.map((majority if found.unanimous else rule)(found.patterns, found.voxels))


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


def majority(patterns: Floats, voxels: Floats) -> Floats:
    """Share (m,) of volunteers who mark voxels with each of the `patterns` (m, n)."""
    share: Floats = patterns.mean(axis=1)
    return share


def em(patterns: Floats, voxels: Floats) -> Floats:
    """Probability (m,) that voxels with each of the `patterns` (m, n) of votes lie inside.

    The model of Dawid and Skene (Applied Statistics 28:20, 1979) with one parameter per volunteer:
    the share of the voxels marked by anyone that they judge rightly. As Lee (Stanford InfoLab 1161,
    2018) and crowd-kit apply it to masks, the prior of a voxel is at first the share of its votes
    and then the posterior of the round before. `voxels` (m,) counts the voxels of each pattern.
    """
    marked = voxels * patterns.any(axis=1)
    share = marked / max(float(marked.sum()), 1.0)
    signs = 2 * patterns - 1
    odds: Floats = logit(patterns.mean(axis=1))
    inside: Floats = np.round(patterns.mean(axis=1))
    for _ in range(ROUNDS):
        right = share @ (inside[:, None] * patterns + (1 - inside[:, None]) * (1 - patterns))
        odds = odds + signs @ logit(np.clip(right, SURE, 1 - SURE))
        before, inside = inside, expit(odds)
        if np.abs(inside - before).max() < MIN_CHANGE:
            break
    return inside


def rasa(patterns: Floats, voxels: Floats) -> Floats:
    """Weighted share (m,) of volunteers who mark voxels with each of the `patterns` (m, n).

    Li (D19-5904, 2019) weighs masks by their similarity to the current aggregate: with
    d = 1 - IoU the weight is log(1 + 1/d), as in crowd-kit. Two empty masks are equal. `voxels`
    (m,) counts the voxels of each pattern.
    """
    weights = np.full(patterns.shape[1], 1 / patterns.shape[1])
    agreement: Floats = patterns @ weights
    for _ in range(ROUNDS):
        aggregate = (agreement.astype(np.float32) >= 0.5).astype(np.float64)
        both = (voxels * aggregate) @ patterns
        either = voxels @ np.maximum(patterns, aggregate[:, None])
        distance = 1 - np.divide(both, either, out=np.ones_like(both), where=either > 0)
        weights = np.log(1 / (distance + EQUAL_WEIGHT) + 1)
        weights /= weights.sum()
        before, agreement = agreement, patterns @ weights
        if np.abs(agreement - before).max() < MIN_CHANGE:
            break
    return agreement


def staple(patterns: Floats, voxels: Floats) -> Floats:
    """Probability (m,) that voxels with each of the `patterns` (m, n) of votes lie inside.

    Warfield, Zou and Wells (IEEE TMI 23:903, 2004): a volunteer has a sensitivity and a
    specificity; the prior is the object's share in all votes and does not change. `voxels` (m,)
    counts the voxels of each pattern.
    """
    share = voxels / voxels.sum()
    prior = logit(share @ patterns.mean(axis=1))
    sensitivity = np.full(patterns.shape[1], STAPLE_START)
    specificity = sensitivity.copy()
    inside = np.zeros(len(patterns))
    for _ in range(STAPLE_ROUNDS):
        yes = patterns @ (np.log(sensitivity) - np.log1p(-specificity))
        no = (1 - patterns) @ (np.log1p(-sensitivity) - np.log(specificity))
        before, inside = inside, expit(prior + yes + no)
        if np.abs(inside - before).max() < STAPLE_MIN_CHANGE:
            break
        sensitivity = _rate(share * inside, patterns)
        specificity = _rate(share * (1 - inside), 1 - patterns)
    return inside


def _rate(weights: Floats, right: Floats) -> Floats:
    """The share of `weights` (m,) at which each volunteer is `right` (m, n)."""
    total = max(float(weights.sum()), np.finfo(np.float64).tiny)
    return np.clip(weights @ right / total, SURE / 10, 1 - SURE / 10)
