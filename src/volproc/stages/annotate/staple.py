"""STAPLE: what each volunteer finds and what they leave out, estimated with where the object is."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from volproc.stages.annotate.ballots import Floats

_ROUNDS = 1000
_CHANGE = 1e-7
_SURE = 1e-7
_START = 0.99999


def staple(patterns: Floats, voxels: Floats) -> Floats:
    """Probability (m,) that voxels with each of the `patterns` (m, n) of votes lie inside.

    Warfield, Zou and Wells (IEEE TMI 23:903, 2004): a volunteer has a sensitivity and a
    specificity; the share of the object is that of all votes and stays. `voxels` (m,) counts the
    voxels of each pattern.
    """
    share = voxels / voxels.sum()
    prior = logit(np.clip(share @ patterns.mean(axis=1), _SURE, 1 - _SURE))
    found = np.full(patterns.shape[1], _START)
    left_out = found.copy()
    inside = np.zeros(len(patterns))
    for _ in range(_ROUNDS):
        yes = patterns @ (np.log(found) - np.log1p(-left_out))
        no = (1 - patterns) @ (np.log1p(-found) - np.log(left_out))
        before, inside = inside, expit(prior + yes + no)
        if np.abs(inside - before).max() < _CHANGE:
            break
        found = _rate(share * inside, patterns)
        left_out = _rate(share * (1 - inside), 1 - patterns)
    return inside


def _rate(weights: Floats, right: Floats) -> Floats:
    """The share of `weights` (m,) at which each volunteer is `right` (m, n)."""
    total = max(float(weights.sum()), np.finfo(np.float64).tiny)
    return np.clip(weights @ right / total, _SURE, 1 - _SURE)
