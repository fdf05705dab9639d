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

    The model of Dawid and Skene (Applied Statistics 28:20, 1979) with one parameter a volunteer,
    the share of voxels they judge rightly, as Lee (Stanford InfoLab 1161, 2018) applies it to
    outlines: from the majority on, volunteers are judged by the answer and weighed anew until the
    answer stands. `voxels` (m,) counts the voxels of each pattern.
    """
    inside: Floats = patterns.mean(axis=1)
    share = voxels / voxels.sum()
    signs = 2 * patterns - 1
    for _ in range(_ROUNDS):
        right = share @ (inside[:, None] * patterns + (1 - inside[:, None]) * (1 - patterns))
        odds = logit(np.clip(right, _SURE, 1 - _SURE))
        prior = logit(np.clip(share @ inside, _SURE, 1 - _SURE))
        before, inside = inside, expit(prior + signs @ odds)
        if np.abs(inside - before).max() < _CHANGE:
            break
    return inside
