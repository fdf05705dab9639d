"""How the error falls with the number of volunteers, and which slices need more of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import fmean, stdev

from volproc.spreadsheet import table_csv
from volproc.stages.annotate.quality.slice_quality import SliceQuality

LOW_AGREEMENT = 0.6
"""Below it volunteers disagree, where nothing else tells how far apart their outlines lie."""
UNDECIDED = 1 / 3
"""Where at least this share drew and at least this share saw nothing, neither is believed."""
CONFIDENCE = 1.96
"""Standard errors on either side of a mean that contain the true one 95 times of 100."""
COLUMNS = ("roi", "z", "votes", "absent", "agreement", "error_nm", "more", "reason")


@dataclass(frozen=True)
class VolunteersNeeded:
    """A slice that `more` volunteers should look at, and why."""

    slice: SliceQuality
    more: int
    reason: str


def volunteers_needed(
    slices: Iterable[SliceQuality], *, min_votes: int, target_nm: float
) -> tuple[VolunteersNeeded, ...]:
    """Slices that need more volunteers, those that need most first.

    The error is assumed to fall with the square root of the number of volunteers.
    """
    found = (_need(one, min_votes, target_nm) for one in slices)
    needy = [one for one in found if one is not None]
    return tuple(sorted(needy, key=lambda w: (-w.more, w.slice.roi, w.slice.z)))


def _need(one: SliceQuality, fewest: int, target_nm: float) -> VolunteersNeeded | None:
    if one.votes < fewest:
        return VolunteersNeeded(one, fewest - one.votes, "too few looked")
    if min(one.drawn, one.absent) >= UNDECIDED * one.votes:
        return VolunteersNeeded(one, fewest, "undecided whether there is anything")
    if not one.there:
        return None
    if one.error_nm is None:
        low = one.agreement is not None and one.agreement < LOW_AGREEMENT
        return VolunteersNeeded(one, fewest, "volunteers disagree") if low else None
    enough = ceil(one.votes * (one.error_nm / target_nm) ** 2)
    if enough <= one.votes:
        return None
    return VolunteersNeeded(one, enough - one.votes, f"outlines {one.error_nm:.0f} nm apart")


def volunteers_needed_csv(needed: Iterable[VolunteersNeeded]) -> str:
    """The slices that need more volunteers as a table."""
    rows = []
    for one in needed:
        own = one.slice
        numbers = (None if v is None else f"{v:.4g}" for v in (own.agreement, own.error_nm))
        rows.append((own.roi, own.z, own.votes, own.absent, *numbers, one.more, one.reason))
    return table_csv(COLUMNS, rows)


@dataclass(frozen=True)
class Subsample:
    """The error in nm of the outline of some `volunteers`, drawn by lot from a slice's."""

    roi: str
    z: int
    volunteers: int
    error_nm: float


@dataclass(frozen=True)
class CurvePoint:
    """Mean error in nm with so many volunteers, over `slices`, and its confidence interval."""

    volunteers: int
    mean_nm: float
    low_nm: float
    high_nm: float
    slices: int


def curve_of(subsamples: Iterable[Subsample]) -> tuple[CurvePoint, ...]:
    """The error for each number of volunteers, over the same slices at every point.

    Draws of a slice are averaged first. Numbers that fewer than half of the slices have are left
    out, and so are the slices that lack one of the others: else the curve would compare easy slices
    with hard ones. The bars are 1.96 standard errors of the mean over slices.
    """
    draws: dict[tuple[str, int], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in subsamples:
        draws[one.roi, one.z][one.volunteers].append(one.error_nm)
    kept: list[int] = []
    used = list(draws.values())
    for number in sorted({number for own in draws.values() for number in own}):
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
    """The fewest volunteers from whom on the mean error stays within `error_nm`.

    Between two points of the curve it is assumed to fall linearly. None if even the most are not
    enough.
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
