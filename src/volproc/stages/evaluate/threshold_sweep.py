"""Overlap at every threshold of a probability, from its histograms inside and outside the truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from volproc.stages.evaluate.overlap import Overlap
from volproc.stages.scores.sparse_sums import SparseSums

LEVELS = 256
FORMULAS = {
    "sweep": (
        "overlap for each threshold k / 255, k from 1 to 255: a voxel is inside from there on; "
        "best is the lowest with the highest Dice"
    )
}


def sweep_of(histogram: SparseSums) -> dict[str, Any]:
    """The curves of dice, precision and recall, and the best threshold.

    `histogram` counts voxels by 0 or 1, outside or inside of the truth, and their level.
    """
    counts = np.zeros((2, LEVELS), dtype=np.int64)
    counts[tuple(histogram.keys.T)] = histogram.counts
    # how many voxels reach each level
    reached = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
    (fp, tp), inside = reached[:, 1:].tolist(), int(counts[1].sum())
    found = [Overlap(t, f, inside - t) for t, f in zip(tp, fp, strict=True)]
    best = max(range(LEVELS - 1), key=lambda k: (found[k].dice or 0.0, -k))
    thresholds = [round(k / (LEVELS - 1), 4) for k in range(1, LEVELS)]
    names = ("dice", "precision", "recall")
    return {
        "best": {"threshold": thresholds[best], **{n: getattr(found[best], n) for n in names}},
        "threshold": thresholds,
        **{name: [getattr(one, name) for one in found] for name in names},
    }
