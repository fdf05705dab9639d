"""How far the surface of a result lies from that of the ground truth: scores of two masks, in nm.

Eleven public tools were found to differ in what they call the same distance (Podobnik et al.,
arXiv 2410.02630), so every score here carries its formula, and the surface is defined as in
google-deepmind/surface-distance (`surface_elements.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt

from volproc.stages.scores.nearest import Nearest
from volproc.stages.scores.surface_elements import Elements, element_sizes, surface_elements

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

TOLERANCES_NM = (50.0, 100.0)

SURFACE_FORMULAS = {
    "truth_to_labels_nm": "h(A, B): mean distance from surface A, of the ground truth, to B",
    "labels_to_truth_nm": "h(B, A): mean distance from surface B, of the labels, to A",
    "masd_nm": "(h(A, B) + h(B, A)) / 2",
    "assd_nm": "mean distance over both surfaces together",
    "hd_nm": "largest distance of either direction",
    "hd95_nm": "the larger of both directions' 95th percentiles",
    "nsd_T": "share of both surfaces that lies within T nm of the other (surface Dice)",
    "bf_T": "2 P R / (P + R), P and R the shares of B and of A within T nm of the other",
}
"""All means, percentiles and shares weigh an element of the surface by its length or area."""
FORMULAS = {
    "dice": "2 |A and B| / (|A| + |B|), voxels",
    "iou": "|A and B| / |A or B|, voxels",
    **SURFACE_FORMULAS,
}
DECIMALS = 6
"""Of nm: distances between corners of a grid that differ by less were rounded differently."""


@dataclass(frozen=True)
class Distances:
    """Lengths of a surface by their distance from another one: shape (n,), nearest first; nm."""

    nm: Floats
    lengths: Floats

    @classmethod
    def of(cls, nm: Floats, lengths: Floats) -> Distances:
        """Equal distances put together, so that thousands of slices stay small."""
        values, which = np.unique(nm.round(DECIMALS), return_inverse=True)
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
class SurfaceDistances:
    """From the surface of the ground truth to that of the labels, and back."""

    to_labels: Distances
    to_truth: Distances

    @property
    def is_nothing(self) -> bool:
        """Whether neither side has a surface."""
        return not self.to_labels.length and not self.to_truth.length

    def scores(self, tolerances_nm: Sequence[float] = TOLERANCES_NM) -> dict[str, float]:
        """All scores of SURFACE_FORMULAS by name, with T the tolerances.

        Nothing against nothing is a perfect match: shares are 1 and distances 0. If one side is
        empty, shares are 0 and distances those of the other side.
        """
        h_ab, h_ba = self._directed()
        sides = (self.to_labels, self.to_truth)
        total = sum(side.length for side in sides)
        pooled = sum(side.mean * side.length for side in sides if side.length)
        scores = {
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
        if self.is_nothing:
            return 0.0, 0.0
        h_ab, h_ba = self.to_labels.mean, self.to_truth.mean
        return (h_ab if self.to_labels.length else h_ba), (h_ba if self.to_truth.length else h_ab)

    def _boundary_f(self, tolerance_nm: float) -> float:
        if self.is_nothing:
            return 1.0
        if not self.to_labels.length or not self.to_truth.length:
            return 0.0
        recall = self.to_labels.within(tolerance_nm) / self.to_labels.length
        precision = self.to_truth.within(tolerance_nm) / self.to_truth.length
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@dataclass(frozen=True)
class Comparison:
    """Voxels of the ground truth, of the labels and of both; distances between their surfaces."""

    truth: int
    labels: int
    both: int
    surfaces: SurfaceDistances

    def scores(self, tolerances_nm: Sequence[float] = TOLERANCES_NM) -> dict[str, float]:
        """All scores of FORMULAS by name, with T the tolerances.

        Nothing against nothing is a perfect match: overlaps are 1 and distances 0. If one side is
        empty, overlaps are 0, and distances are the `missing_nm` of `compare`.
        """
        return {
            "dice": _share(2 * self.both, self.truth + self.labels),
            "iou": _share(self.both, self.truth + self.labels - self.both),
            **self.surfaces.scores(tolerances_nm),
        }


def compare(
    truth: Mask,
    labels: Mask,
    *,
    nm: Sequence[float],
    missing_nm: float = inf,
    at_border: bool = True,
) -> Comparison:
    """The labels against the ground truth: two masks, (y, x) or (z, y, x), with voxels of `nm`.

    `missing_nm` is every distance where only one side has a surface. Without `at_border`, the
    image's border is no surface of an object that leaves the image there.
    """
    a, b = (surface_elements(mask, at_border=at_border) for mask in (truth, labels))
    return Comparison(
        truth=int(np.count_nonzero(truth)),
        labels=int(np.count_nonzero(labels)),
        both=int(np.count_nonzero(truth & labels)),
        surfaces=SurfaceDistances(
            _distances(a, b, nm, missing_nm), _distances(b, a, nm, missing_nm)
        ),
    )


def pool(comparisons: Iterable[Comparison]) -> Comparison:
    """Several slices as one: each surface is measured against that of its own slice."""
    listed = list(comparisons)
    return Comparison(
        truth=sum(one.truth for one in listed),
        labels=sum(one.labels for one in listed),
        both=sum(one.both for one in listed),
        surfaces=SurfaceDistances(
            _together([one.surfaces.to_labels for one in listed]),
            _together([one.surfaces.to_truth for one in listed]),
        ),
    )


def _distances(
    here: Elements, there: Elements, nm: Sequence[float], missing_nm: float
) -> Distances:
    lengths = element_sizes(nm)[here.codes]
    if not len(there):
        return Distances.of(np.full(len(here), missing_nm), lengths)
    return Distances.of(Nearest(there.corners, nm=nm).distances(here.corners), lengths)


def _together(parts: Sequence[Distances]) -> Distances:
    if not parts:
        return Distances(np.empty(0), np.empty(0))
    return Distances.of(
        np.concatenate([part.nm for part in parts]),
        np.concatenate([part.lengths for part in parts]),
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0
