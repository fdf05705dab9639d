"""How the objects of a result share the voxels of those of the ground truth: the scores of it.

All come from one sparse table: how many voxels have id t in the ground truth and r in the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.stages.scores.sparse_sums import SparseSums

Ids = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]

MATCH_IOU = 0.5
"""Two objects match if their IoU is larger: so each matches one other at most."""
FRAGMENT_SHARE = 0.01
"""Of an object's voxels: smaller fragments are no split and no merge."""
NOTHING = SparseSums(np.empty((0, 2), np.uint64), np.empty(0, np.int64))

FORMULAS = {
    "pq": "SQ RQ, panoptic quality; objects match where their IoU > 0.5",
    "sq": "mean IoU of the matches",
    "rq": "TP / (TP + FP / 2 + FN / 2); TP matches, FP and FN objects without one",
    "voi_split": "H(result | truth) in bits, where the truth is not 0",
    "voi_merge": "H(truth | result) in bits, where the truth is not 0",
    "adapted_rand_error": "1 - 2 P R / (P + R), where the truth is not 0",
    "rand_precision": "P: of all pairs of voxels in one object of the result, those in one truly",
    "rand_recall": "R: of all pairs of voxels truly in one object, those in one of the result",
    "splits": (
        "objects of the truth with two fragments or more: objects of the result with more than "
        "half of their voxels in it, and at least 1% of its own"
    ),
    "merges": "objects of the result with two objects of the truth or more, likewise",
}
"""Background of the result is one object to VOI and Rand, as in scikit-image."""


def block_contingency(truth: npt.NDArray[Any], result: npt.NDArray[Any]) -> SparseSums:
    """Voxels by pairs of ids (truth, result) of two arrays of labels; 0 with 0 is left out.

    Ids are whole numbers from 0 on. Runs of a pair are counted, slice by slice.
    """
    return SparseSums.added(map(_slice_pairs, truth, result), nothing=NOTHING)


def _slice_pairs(truth: npt.NDArray[Any], result: npt.NDArray[Any]) -> SparseSums:
    a, b = (np.ascontiguousarray(side).reshape(-1) for side in (truth, result))
    a, b = (side.view(np.uint8) if side.dtype == bool else side for side in (a, b))
    if not len(a):
        return NOTHING
    first = np.flatnonzero((a[1:] != a[:-1]) | (b[1:] != b[:-1])) + 1
    first = np.concatenate([np.zeros(1, dtype=np.int64), first])
    lengths = np.diff(first, append=len(a))
    there = (a[first] != 0) | (b[first] != 0)
    keys = np.stack([side[first[there]].astype(np.uint64) for side in (a, b)], axis=1)
    return SparseSums.of(keys, lengths[there])


@dataclass(frozen=True)
class Contingency:
    """Voxels of pairs of ids of a whole volume, `truth` ascending; 0 is background."""

    truth: Ids
    result: Ids
    voxels: Counts

    @classmethod
    def of(cls, sums: SparseSums) -> Contingency:
        """The table from its rows, whose keys are (truth, result)."""
        return cls(sums.keys[:, 0], sums.keys[:, 1], sums.counts)

    @cached_property
    def sizes(self) -> tuple[tuple[Ids, Counts], tuple[Ids, Counts]]:
        """Ids and voxels of the objects of the truth, and of the result, in the order of ids."""
        return _sizes(self.truth, self.voxels), _sizes(self.result, self.voxels)

    @cached_property
    def overlaps(self) -> Overlaps:
        """Pairs of objects that share voxels, neither of them background."""
        both = (self.truth > 0) & (self.result > 0)
        t, r, n = self.truth[both], self.result[both], self.voxels[both]
        (true, true_sizes), (found, found_sizes) = self.sizes
        own = true_sizes[np.searchsorted(true, t)]
        other = found_sizes[np.searchsorted(found, r)]
        return Overlaps(t, r, n, own, other)

    def scores(self) -> dict[str, float | int | None]:
        """All of FORMULAS that are numbers, and how many objects there are; None if undefined."""
        (true, _), (found, _) = self.sizes
        matched = self.overlaps.iou[self.overlaps.iou > MATCH_IOU]
        tp, either = len(matched), len(true) + len(found)
        rq = 2 * tp / either if either else None
        sq = float(matched.mean()) if tp else (0.0 if either else None)
        counts = {"tp": tp, "fp": len(found) - tp, "fn": len(true) - tp}
        split, merge = self._entropies()
        return {
            "pq": None if rq is None or sq is None else sq * rq,
            "sq": sq,
            "rq": rq,
            **{f"objects_{name}": count for name, count in counts.items()},
            "voi_split": split,
            "voi_merge": merge,
            **self._rand(),
            "splits": len(self.splits()),
            "merges": len(self.merges()),
        }

    def splits(self) -> dict[int, list[int]]:
        """Fragments of each object of the truth that is split, the largest first."""
        return self.overlaps.torn()

    def merges(self) -> dict[int, list[int]]:
        """Objects of the truth in each object of the result that merges some, the largest first."""
        return self.overlaps.swapped().torn()

    def _foreground(self) -> tuple[Counts, Counts, Counts]:
        """Voxels where the truth is not 0: of pairs, of its objects, and of those of the result."""
        there = self.truth > 0
        of_truth = np.bincount(
            np.unique(self.truth[there], return_inverse=True)[1], self.voxels[there]
        )
        of_result = np.bincount(
            np.unique(self.result[there], return_inverse=True)[1], self.voxels[there]
        )
        return self.voxels[there], of_truth, of_result

    def _entropies(self) -> tuple[float | None, float | None]:
        pairs, true, found = self._foreground()
        if not len(pairs):
            return None, None
        joint, of_truth, of_result = (_entropy(side) for side in (pairs, true, found))
        return max(0.0, joint - of_truth), max(0.0, joint - of_result)

    def _rand(self) -> dict[str, float | None]:
        names = ("adapted_rand_error", "rand_precision", "rand_recall")
        pairs, true, found = (side.astype(np.float64) for side in self._foreground())
        total = pairs.sum()
        same = (pairs**2).sum() - total
        in_truth, in_result = (true**2).sum() - total, (found**2).sum() - total
        if not in_truth or not in_result:
            return dict.fromkeys(names)
        precision, recall = same / in_result, same / in_truth
        error = 1 - 2 * same / (in_truth + in_result)
        return dict(zip(names, map(float, (error, precision, recall)), strict=True))


@dataclass(frozen=True)
class Overlaps:
    """Pairs of an object `here` and one `there`: voxels they share, and of each of them."""

    here: Ids
    there: Ids
    shared: Counts
    own: Counts
    other: Counts

    @property
    def iou(self) -> npt.NDArray[np.float64]:
        """Intersection over union of each pair."""
        return np.asarray(self.shared / (self.own + self.other - self.shared))

    def swapped(self) -> Overlaps:
        """The same pairs, seen from the other side."""
        return Overlaps(self.there, self.here, self.shared, self.other, self.own)

    def torn(self) -> dict[int, list[int]]:
        """Objects `here` that hold two fragments or more, and these, the largest first."""
        part = (2 * self.shared > self.other) & (self.shared >= FRAGMENT_SHARE * self.own)
        order = np.lexsort((self.there, -self.shared, self.here))
        order = order[part[order]]
        found: dict[int, list[int]] = {}
        for one, fragment in zip(
            self.here[order].tolist(), self.there[order].tolist(), strict=True
        ):
            found.setdefault(one, []).append(fragment)
        return {one: fragments for one, fragments in found.items() if len(fragments) > 1}

    def best(self) -> dict[int, tuple[int, float]]:
        """For each object `here`, the one `there` with the highest IoU, and that."""
        order = np.lexsort((self.there, -self.iou, self.here))
        first = np.unique(self.here[order], return_index=True)[1]
        chosen = order[first]
        pairs = zip(self.there[chosen].tolist(), self.iou[chosen].tolist(), strict=True)
        return dict(zip(self.here[chosen].tolist(), pairs, strict=True))


def _sizes(ids: Ids, voxels: Counts) -> tuple[Ids, Counts]:
    own, which = np.unique(ids, return_inverse=True)
    sizes = np.zeros(len(own), dtype=np.int64)
    np.add.at(sizes, which, voxels)
    return own[own > 0], sizes[own > 0]


def _entropy(voxels: npt.NDArray[Any]) -> float:
    share = voxels / voxels.sum()
    return float(-(share * np.log2(share)).sum())
