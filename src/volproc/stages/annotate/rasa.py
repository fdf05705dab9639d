"""RASA: volunteers weigh the more, the closer their whole mask is to the answer."""

from __future__ import annotations

import numpy as np

from volproc.stages.annotate.ballots import Floats

_ROUNDS = 100
_CHANGE = 1e-6
_TINY = 1e-5
"""Keeps the weight of a mask finite that equals the answer."""


def rasa(patterns: Floats, voxels: Floats) -> Floats:
    """Weighted share (m,) of volunteers who mark voxels with each of the `patterns` (m, n).

    Li (D19-5904, 2019) weighs answers by their similarity to the current aggregate; for masks
    that is intersection over union, d = 1 - IoU, and the weight log(1 + 1/d), as in crowd-kit.
    Nothing against nothing is alike. `voxels` (m,) counts the voxels of each pattern.
    """
    weights = np.full(patterns.shape[1], 1 / patterns.shape[1])
    agreement: Floats = patterns @ weights
    for _ in range(_ROUNDS):
        answer = (agreement.astype(np.float32) >= 0.5).astype(np.float64)
        both = (voxels * answer) @ patterns
        either = voxels @ np.maximum(patterns, answer[:, None])
        distance = 1 - np.divide(both, either, out=np.ones_like(both), where=either > 0)
        weights = np.log(1 / (distance + _TINY) + 1)
        weights /= weights.sum()
        before, agreement = agreement, patterns @ weights
        if np.abs(agreement - before).max() < _CHANGE:
            break
    return agreement
