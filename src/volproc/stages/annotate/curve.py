"""How the error falls with the number of volunteers, and how many are enough."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import fmean, stdev

CONFIDENCE = 1.96
"""Standard errors on either side of a mean that hold the true one 95 times of 100."""


@dataclass(frozen=True)
class Subsample:
    """How far the outline of some `volunteers`, drawn by lot from a slice's, was off, in nm."""

    roi: str
    z: int
    volunteers: int
    error_nm: float


@dataclass(frozen=True)
class CurvePoint:
    """Mean error in nm with so many volunteers, over `slices`, and where the mean may truly lie."""

    volunteers: int
    mean_nm: float
    low_nm: float
    high_nm: float
    slices: int


def curve_of(subsamples: Iterable[Subsample]) -> tuple[CurvePoint, ...]:
    """The error for each number of volunteers, over the same slices at every point.

    Draws of a slice are averaged first. Numbers that fewer than half of the slices have are left
    out, as are the slices that lack one of the others: else the curve would compare easy slices
    with hard ones. The bars are 1.96 standard errors of the mean over slices.
    """
    draws: dict[tuple[str, int], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in subsamples:
        draws[one.roi, one.z][one.volunteers].append(one.error_nm)
    numbers = sorted({number for own in draws.values() for number in own})
    kept: list[int] = []
    used = list(draws.values())
    for number in numbers:
        have = [own for own in used if number in own]
        if 2 * len(have) < len(draws):
            break
        kept, used = [*kept, number], have
    return tuple(_point(number, [fmean(own[number]) for own in used]) for number in kept)


def _point(volunteers: int, errors: Sequence[float]) -> CurvePoint:
    mean = fmean(errors)
    reach = CONFIDENCE * stdev(errors) / sqrt(len(errors)) if len(errors) > 1 else 0.0
    return CurvePoint(volunteers, mean, max(0.0, mean - reach), mean + reach, len(errors))


def volunteers_for(curve: Sequence[CurvePoint], error_nm: float) -> int | None:
    """The least volunteers from whom on the mean error stays within `error_nm`.

    Between two points of the curve it is taken to fall evenly. None if even most are not enough.
    """
    above = [n for n, point in enumerate(curve) if point.mean_nm > error_nm]
    if not above:
        return curve[0].volunteers if curve else None
    if above[-1] == len(curve) - 1:
        return None
    before, after = curve[above[-1]], curve[above[-1] + 1]
    share = (before.mean_nm - error_nm) / (before.mean_nm - after.mean_nm)
    # rounded first: 1.0000000001 volunteers are one
    return before.volunteers + ceil(round(share * (after.volunteers - before.volunteers), 9))
