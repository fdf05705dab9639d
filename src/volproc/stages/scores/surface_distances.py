"""How far the outline of labels lies from that of the ground truth: scores of two masks, in nm.

Eleven public tools were found to differ in what they call the same distance (Podobnik et al.,
arXiv 2410.02630), so every score here carries its formula, and the surface is defined as in
google-deepmind/surface-distance: where the four voxels around a corner of the grid are not all
alike, the corner is an element of the surface, as long as the line that parts them.

    1 1      1 0      1 0      1 1      0 = background; lengths for voxels of y x x nm:
    0 0      1 0      0 0      1 0      x, y, and half a diagonal for one or three of a kind;
                                        1 0 over 0 1 (two opposite ones): a whole diagonal
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import hypot, inf

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from volproc.drawing import bounding_box

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

TOLERANCES_NM = (50.0, 100.0)

FORMULAS = {
    "dice": "2 |A and B| / (|A| + |B|), voxels",
    "iou": "|A and B| / |A or B|, voxels",
    "truth_to_labels_nm": "h(A, B): mean distance from surface A, of the ground truth, to B",
    "labels_to_truth_nm": "h(B, A): mean distance from surface B, of the labels, to A",
    "masd_nm": "(h(A, B) + h(B, A)) / 2",
    "assd_nm": "mean distance over both surfaces together",
    "hd_nm": "largest distance of either direction",
    "hd95_nm": "the larger of both directions' 95th percentiles",
    "nsd_T": "share of both surfaces that lies within T nm of the other (surface Dice)",
    "bf_T": "2 P R / (P + R), P and R the shares of B and of A within T nm of the other",
}
"""All means, percentiles and shares weigh an element of the surface by its length."""


@dataclass(frozen=True)
class Distances:
    """Lengths of a surface by their distance from another one: shape (n,), nearest first; nm."""

    nm: Floats
    lengths: Floats

    @classmethod
    def of(cls, nm: Floats, lengths: Floats) -> Distances:
        """Equal distances put together, so that thousands of slices stay small."""
        # distances between corners of a grid: what differs by less was rounded differently
        values, which = np.unique(nm.round(6), return_inverse=True)
        summed = np.bincount(which, weights=lengths, minlength=len(values))
        return cls(values, summed.astype(np.float64))

    @property
    def length(self) -> float:
        """Of the whole surface."""
        return float(self.lengths.sum())

    @property
    def mean(self) -> float:
        """The directed mean h; nan without a surface."""
        return float(self.nm @ self.lengths / self.length) if self.length else float("nan")

    def percentile(self, percent: float) -> float:
        """The distance within which `percent` of the surface lies; 0 without a surface."""
        if not len(self.nm):
            return 0.0
        share = np.cumsum(self.lengths) / self.length
        return float(self.nm[min(int(np.searchsorted(share, percent / 100)), len(share) - 1)])

    def within(self, tolerance_nm: float) -> float:
        """Length that lies within `tolerance_nm`, ties included."""
        return float(self.lengths[self.nm <= tolerance_nm].sum())


@dataclass(frozen=True)
class Comparison:
    """Voxels of the ground truth, of the labels and of both; distances between their surfaces."""

    truth: int
    labels: int
    both: int
    to_labels: Distances
    to_truth: Distances

    def scores(self, tolerances_nm: Sequence[float] = TOLERANCES_NM) -> dict[str, float]:
        """All scores of FORMULAS by name, with T the tolerances.

        Nothing against nothing is a perfect match: overlaps are 1 and distances 0. If one side is
        empty, overlaps are 0, and distances are the `missing_nm` of `compare`.
        """
        h_ab, h_ba = self._directed()
        sides = (self.to_labels, self.to_truth)
        total = sum(side.length for side in sides)
        pooled = sum(side.mean * side.length for side in sides if side.length)
        scores = {
            "dice": _share(2 * self.both, self.truth + self.labels),
            "iou": _share(self.both, self.truth + self.labels - self.both),
            "truth_to_labels_nm": h_ab,
            "labels_to_truth_nm": h_ba,
            "masd_nm": (h_ab + h_ba) / 2,
            "assd_nm": pooled / total if total else 0.0,
            "hd_nm": max(side.percentile(100) for side in sides),
            "hd95_nm": max(side.percentile(95) for side in sides),
        }
        for tolerance in tolerances_nm:
            scores[f"nsd_{tolerance:g}"] = _share(sum(s.within(tolerance) for s in sides), total)
            scores[f"bf_{tolerance:g}"] = self._boundary_f(tolerance)
        return scores

    def _directed(self) -> tuple[float, float]:
        """h(A, B) and h(B, A); an empty side takes the other's, and two empty sides 0."""
        if not self.to_labels.length and not self.to_truth.length:
            return 0.0, 0.0
        h_ab, h_ba = self.to_labels.mean, self.to_truth.mean
        return (h_ab if self.to_labels.length else h_ba), (h_ba if self.to_truth.length else h_ab)

    def _boundary_f(self, tolerance_nm: float) -> float:
        if not self.to_labels.length and not self.to_truth.length:
            return 1.0
        if not self.to_labels.length or not self.to_truth.length:
            return 0.0
        recall = self.to_labels.within(tolerance_nm) / self.to_labels.length
        precision = self.to_truth.within(tolerance_nm) / self.to_truth.length
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def compare(
    truth: Mask,
    labels: Mask,
    *,
    nm: tuple[float, float],
    missing_nm: float = inf,
    at_border: bool = True,
) -> Comparison:
    """The labels against the ground truth: masks (y, x) of one slice with voxels of `nm` (y, x).

    `missing_nm` is every distance where only one side has a surface. Without `at_border`, the
    image's border is no surface of an object that leaves the image there.
    """
    a = surface_elements(truth, nm=nm, at_border=at_border)
    b = surface_elements(labels, nm=nm, at_border=at_border)
    return Comparison(
        truth=int(np.count_nonzero(truth)),
        labels=int(np.count_nonzero(labels)),
        both=int(np.count_nonzero(truth & labels)),
        to_labels=_distances(a, b, missing_nm),
        to_truth=_distances(b, a, missing_nm),
    )


def pool(comparisons: Iterable[Comparison]) -> Comparison:
    """Several slices as one: each surface is measured against that of its own slice."""
    listed = list(comparisons)
    return Comparison(
        truth=sum(one.truth for one in listed),
        labels=sum(one.labels for one in listed),
        both=sum(one.both for one in listed),
        to_labels=_together([one.to_labels for one in listed]),
        to_truth=_together([one.to_truth for one in listed]),
    )


def surface_elements(
    mask: Mask, *, nm: tuple[float, float], at_border: bool = True
) -> tuple[Floats, Floats]:
    """Positions, shape (n, 2), and lengths, shape (n,), of the elements of a surface; nm.

    Beyond the image is background, so an object that leaves it is closed along the border,
    unless `at_border` says that elements on the border do not count.
    """
    box = bounding_box(mask)
    if box is None:
        return np.empty((0, 2)), np.empty(0)
    # one layer of background: corner (i, j) of `inside` then lies at the box' corner plus i, j
    inside = np.pad(mask[box.slices], 1).view(np.uint8)
    codes = inside[:-1, :-1] | inside[:-1, 1:] << 1 | inside[1:, :-1] << 2 | inside[1:, 1:] << 3
    corners = np.argwhere((codes != 0) & (codes != 15))
    lengths = _lengths(nm)[codes[tuple(corners.T)]]
    corners += box.start
    if not at_border:
        kept = ((corners > 0) & (corners < mask.shape)).all(axis=1)
        corners, lengths = corners[kept], lengths[kept]
    points: Floats = np.multiply(corners, nm, dtype=np.float64)
    return points, lengths


def _lengths(nm: tuple[float, float]) -> Floats:
    """Of the line in a square of four voxels, by which of them are inside (bits 0 to 3)."""
    y, x = nm
    diagonal = hypot(y, x)
    straight = {0b0011: x, 0b1100: x, 0b0101: y, 0b1010: y}
    crossing = {0b0000: 0.0, 0b1111: 0.0, 0b0110: diagonal, 0b1001: diagonal}
    known = straight | crossing
    return np.array([known.get(code, diagonal / 2) for code in range(16)])


def _distances(
    here: tuple[Floats, Floats], there: tuple[Floats, Floats], missing_nm: float
) -> Distances:
    points, lengths = here
    if not len(points):
        return Distances(np.empty(0), np.empty(0))
    if not len(there[0]):
        return Distances(np.array([missing_nm]), np.array([lengths.sum()]))
    return Distances.of(cKDTree(there[0]).query(points)[0], lengths)


def _together(parts: Sequence[Distances]) -> Distances:
    if not parts:
        return Distances(np.empty(0), np.empty(0))
    return Distances.of(
        np.concatenate([part.nm for part in parts]),
        np.concatenate([part.lengths for part in parts]),
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0
