"""Where more volunteers should look, and why."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from math import ceil

from volproc.spreadsheet import neutral
from volproc.stages.annotate.quality import Quality, SliceQuality

LOW_AGREEMENT = 0.6
"""Below it volunteers disagree, where nothing else tells how far their outlines lie apart."""
UNDECIDED = 1 / 3
"""Where at least this share drew and at least this share saw nothing, neither is believed."""


@dataclass(frozen=True)
class Wanted:
    """A slice that `more` volunteers should look at, and why."""

    slice: SliceQuality
    more: int
    reason: str


def wanted(quality: Quality) -> tuple[Wanted, ...]:
    """Slices that need more volunteers, those that need most first.

    An error is taken to fall with the square root of the number of volunteers.
    """
    found = (_want(one, quality.fewest_votes, quality.wanted_nm) for one in quality.slices)
    needy = [one for one in found if one is not None]
    return tuple(sorted(needy, key=lambda w: (-w.more, w.slice.roi, w.slice.z)))


def _want(one: SliceQuality, fewest: int, wanted_nm: float) -> Wanted | None:
    if one.votes < fewest:
        return Wanted(one, fewest - one.votes, "too few looked")
    if min(one.drawn, one.absent) >= UNDECIDED * one.votes:
        return Wanted(one, fewest, "undecided whether there is anything")
    if not one.there:
        return None
    if one.error_nm is None:
        low = one.agreement is not None and one.agreement < LOW_AGREEMENT
        return Wanted(one, fewest, "volunteers disagree") if low else None
    enough = ceil(one.votes * (one.error_nm / wanted_nm) ** 2)
    if enough <= one.votes:
        return None
    return Wanted(one, enough - one.votes, f"outlines {one.error_nm:.0f} nm apart")


def wanted_csv(rows: Iterable[Wanted]) -> str:
    """The slices that need more volunteers as a table (RFC 4180)."""
    file = StringIO()
    writer = csv.writer(file)
    writer.writerow(("roi", "z", "votes", "absent", "agreement", "error_nm", "more", "reason"))
    for row in rows:
        one = row.slice
        numbers = ("" if v is None else f"{v:.4g}" for v in (one.agreement, one.error_nm))
        writer.writerow(
            (neutral(one.roi), one.z, one.votes, one.absent, *numbers, row.more, row.reason)
        )
    return file.getvalue()
