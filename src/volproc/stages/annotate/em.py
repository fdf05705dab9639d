"""EM: how often each volunteer is right and where the object is, each estimated from the other."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from volproc.stages.annotate.ballots import Floats

_ROUNDS = 100
_CHANGE = 1e-6
_SURE = 1e-6
"""Nobody is taken to be right, or wrong, more surely than this."""


def em(patterns: Floats, voxels: Floats) -> Floats:
    """Probability (m,) that voxels with each of the `patterns` (m, n) of votes lie inside.

    The model of Dawid and Skene (Applied Statistics 28:20, 1979) with one parameter a volunteer:
    the share they judge rightly of the voxels that anyone marked. As Lee (Stanford InfoLab 1161,
    2018) and crowd-kit apply it to masks, what is expected of a voxel is at first the share of its
    votes and then the answer of the round before. `voxels` (m,) counts the voxels of each pattern.
    """
    marked = voxels * patterns.any(axis=1)
    share = marked / max(float(marked.sum()), 1.0)
    signs = 2 * patterns - 1
    odds: Floats = logit(patterns.mean(axis=1))
    inside: Floats = np.round(patterns.mean(axis=1))
    for _ in range(_ROUNDS):
        right = share @ (inside[:, None] * patterns + (1 - inside[:, None]) * (1 - patterns))
        odds = odds + signs @ logit(np.clip(right, _SURE, 1 - _SURE))
        before, inside = inside, expit(odds)
        if np.abs(inside - before).max() < _CHANGE:
            break
    return inside
