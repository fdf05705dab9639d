"""Overlap of a result and the ground truth in voxels, and the scores made of these counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FORMULAS = {
    "dice": "2 TP / (2 TP + FP + FN)",
    "iou": "TP / (TP + FP + FN)",
    "precision": "TP / (TP + FP)",
    "recall": "TP / (TP + FN)",
}
"""TP: voxels of both, FP: of the result only, FN: of the ground truth only."""


@dataclass(frozen=True)
class Overlap:
    """Counts of voxels, which add up over slices and blocks, and their scores.

    A score whose denominator is 0 (nothing there on either side) is None: undefined, not perfect.

    >>> (Overlap(3, 1, 0) + Overlap(0, 0, 2)).dice
    0.6666666666666666
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: Overlap) -> Overlap:
        return Overlap(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def dice(self) -> float | None:
        """Dice coefficient, also called F1."""
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def iou(self) -> float | None:
        """Intersection over union, also called Jaccard index."""
        return _share(self.tp, self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float | None:
        """Share of the result that is true."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float | None:
        """Share of the ground truth that was found."""
        return _share(self.tp, self.tp + self.fn)

    def as_row(self) -> dict[str, float | int | None]:
        """Scores first, then the counts they come from."""
        scores = {name: getattr(self, name) for name in FORMULAS}
        return {**scores, "tp": self.tp, "fp": self.fp, "fn": self.fn}


def overlap_by_slice(
    result: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """TP, FP and FN of every z slice, shape (slices, 3)."""
    # slice by slice: counting along axes at once would first make 8 bytes of every voxel
    both = _counts(a & b for a, b in zip(result, truth, strict=True))
    found, true = _counts(result), _counts(truth)
    return np.stack([both, found - both, true - both], axis=1)


def _counts(slices: Iterable[npt.NDArray[np.bool_]]) -> npt.NDArray[np.int64]:
    return np.array([np.count_nonzero(one) for one in slices], dtype=np.int64)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
