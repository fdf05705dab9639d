"""Several methods on the same drawings: their scores, or how far apart they are; as tables."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import fmean
from typing import Any

from volproc.spreadsheet import table_csv
from volproc.stages.annotate.quality.slice_scores import (
    FORMULAS,
    MeanScores,
    SliceScores,
    means_of,
)


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
