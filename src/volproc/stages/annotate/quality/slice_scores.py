"""How well labels show what is on slices, and how far methods are apart: scores and tables."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from volproc.drawing import MIN_COMPONENT_UM2
from volproc.spreadsheet import table_csv
from volproc.stages.scores.surface_distances import FORMULAS as SURFACE_FORMULAS
from volproc.stages.scores.surface_distances import Mask, compare

FOUND_IOU = 0.5
"""A fragment is found by one that has a larger overlap (IoU) with it."""
MEANS = ("dice", "iou", "masd_nm", "nsd_50", "nsd_100")
FORMULAS = {
    "dice": SURFACE_FORMULAS["dice"],
    "iou": SURFACE_FORMULAS["iou"],
    "masd_nm": (
        f"{SURFACE_FORMULAS['masd_nm']}, h the mean distance of one outline from the other; where "
        "the labels are empty, the radius of a disc of the ground truth's area"
    ),
    "nsd_50": "share of both outlines that lies within 50 nm of the other (surface Dice)",
    "nsd_100": "share of both outlines that lies within 100 nm of the other (surface Dice)",
    "found": (
        f"fragments of the ground truth (8-connected, from {MIN_COMPONENT_UM2} um2 on) with an IoU "
        f"above {FOUND_IOU} with one of the labels"
    ),
    "made_up": "fragments of the labels that match none of the ground truth, where it has any",
    "false": "slices on which the labels have something and the ground truth nothing",
}
"""What each score is. Means are over slices on which the ground truth has something."""


@dataclass(frozen=True)
class SliceScores:
    """One slice. Where nothing is (`empty`), `false` says whether something was drawn all the same.

    There is no overlap or distance to nothing: those are None.
    """

    empty: bool
    false: bool
    fragments: int
    found: int
    made_up: int
    dice: float | None = None
    iou: float | None = None
    masd_nm: float | None = None
    nsd_50: float | None = None
    nsd_100: float | None = None


@dataclass(frozen=True)
class MeanScores:
    """Means over `slices` with something to find, and counts; `found` is a share of fragments.

    `empty` slices have nothing to find; on `false` of them the labels have something.
    """

    slices: int
    dice: float | None
    iou: float | None
    masd_nm: float | None
    nsd_50: float | None
    nsd_100: float | None
    found: float | None
    made_up: int
    false: int
    empty: int


def score_slice(
    truth: Mask, labels: Mask, *, nm: tuple[float, float], at_border: bool = True
) -> SliceScores:
    """The labels against the ground truth, two masks (y, x) with voxels of `nm` (y, x).

    Without `at_border`, where an object leaves the image is no outline of it.
    """
    found, made_up, real = fragments(truth, labels, nm=nm)
    if not truth.any():
        return SliceScores(True, bool(labels.any()), real, found, made_up)
    missing = radius_nm(truth, nm)
    both = compare(truth, labels, nm=nm, missing_nm=missing, at_border=at_border)
    values = both.scores()
    return SliceScores(False, False, real, found, made_up, *(values[name] for name in MEANS))


def fragments(truth: Mask, labels: Mask, *, nm: tuple[float, float]) -> tuple[int, int, int]:
    """Fragments of the ground truth that are found, those made up, and how many there are."""
    (a, real), (b, there) = (_numbered(mask, nm) for mask in (truth, labels))
    both = np.bincount(a.ravel() * (there + 1) + b.ravel(), minlength=(real + 1) * (there + 1))
    both = both.reshape(real + 1, there + 1)  # voxels by number in one (rows) and in the other
    either = both.sum(axis=1)[1:, None] + both.sum(axis=0)[None, 1:] - both[1:, 1:]
    matched = both[1:, 1:] > FOUND_IOU * either
    return int(matched.any(axis=1).sum()), int((~matched.any(axis=0)).sum()), real


def radius_nm(mask: Mask, nm: tuple[float, float]) -> float:
    """Of a disc with the mask's area."""
    return float(np.sqrt(np.count_nonzero(mask) * nm[0] * nm[1] / np.pi))


def means_of(scores: Iterable[SliceScores]) -> MeanScores:
    """All slices in one row."""
    scores = list(scores)
    real = [one for one in scores if not one.empty]
    there = sum(one.fragments for one in real)
    return MeanScores(
        slices=len(real),
        **{name: fmean(getattr(one, name) for one in real) if real else None for name in MEANS},
        found=sum(one.found for one in real) / there if there else None,
        made_up=sum(one.made_up for one in real),
        false=sum(one.false for one in scores),
        empty=len(scores) - len(real),
    )


def _numbered(mask: Mask, nm: tuple[float, float]) -> tuple[npt.NDArray[Any], int]:
    """Numbered fragments, without those too small to be drawn."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * np.prod(nm)
    large = sizes >= MIN_COMPONENT_UM2 * 1e6
    large[0] = False
    numbers = np.cumsum(large) * large
    return numbers[labels], int(large.sum())


@dataclass(frozen=True)
class MethodScores:
    """The scores of one method's result on a slice of a region."""

    roi: str
    z: int
    method: str
    scores: SliceScores

    @classmethod
    def read(cls, record: dict[str, Any]) -> MethodScores:
        """What `asdict` made a record of."""
        return cls(**{**record, "scores": SliceScores(**record["scores"])})


@dataclass(frozen=True)
class MethodDistance:
    """How far the results of two methods are from one another on a slice of a region."""

    roi: str
    z: int
    method: str
    other: str
    dice: float
    masd_nm: float


@dataclass(frozen=True)
class MeanDistance:
    """Means of two methods over the `slices` on which either has something."""

    dice: float
    masd_nm: float
    slices: int


def by_method(scored: Iterable[MethodScores]) -> dict[str, MeanScores]:
    """Mean scores of each method, in the order in which they come first."""
    found: dict[str, list[SliceScores]] = defaultdict(list)
    for one in scored:
        found[one.method].append(one.scores)
    return {method: means_of(own) for method, own in found.items()}


def by_region(scored: Iterable[MethodScores]) -> dict[str, dict[str, MeanScores]]:
    """The same for each region, in the order of their names."""
    found: dict[str, list[MethodScores]] = defaultdict(list)
    for one in scored:
        found[one.roi].append(one)
    return {roi: by_method(own) for roi, own in sorted(found.items())}


def distances(apart: Iterable[MethodDistance]) -> dict[tuple[str, str], MeanDistance]:
    """The mean distance between every two methods, in both orders."""
    found: dict[tuple[str, str], list[MethodDistance]] = defaultdict(list)
    for one in apart:
        found[one.method, one.other].append(one)
    means = {
        pair: MeanDistance(fmean(a.dice for a in own), fmean(a.masd_nm for a in own), len(own))
        for pair, own in found.items()
    }
    return means | {(b, a): value for (a, b), value in means.items()}


def scores_csv(scored: Iterable[MethodScores]) -> str:
    """A row for each slice, region and method; empty where there is no such score."""
    names = [field.name for field in fields(SliceScores)]
    rows = (
        (one.roi, one.z, one.method, *map(_cell, asdict(one.scores).values())) for one in scored
    )
    return table_csv(("roi", "z", "method", *names), rows)


def distances_csv(apart: Iterable[MethodDistance]) -> str:
    """A row for each slice, region and two methods."""
    names = [field.name for field in fields(MethodDistance)]
    return table_csv(names, (list(map(_cell, asdict(one).values())) for one in apart))


def scores_json(scored: Sequence[MethodScores], about: dict[str, Any]) -> str:
    """Means of each method, over all and for each region, with what they are of, and formulas."""
    regions = {
        roi: {method: asdict(means) for method, means in own.items()}
        for roi, own in by_region(scored).items()
    }
    means = {method: asdict(means) for method, means in by_method(scored).items()}
    return json.dumps({**about, "formulas": FORMULAS, "all": means, "regions": regions}, indent=1)


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    return f"{value:.6g}" if isinstance(value, float) else value
