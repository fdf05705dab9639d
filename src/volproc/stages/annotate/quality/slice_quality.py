"""What is known of each slice, and which slices are worth looking at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from volproc.drawing import SliceVotes

MIN_SPACING = 5
"""Slices of a region between two that are shown: neighbours would look alike."""

T = TypeVar("T")


@dataclass(frozen=True)
class SliceQuality:
    """One slice. `votes` counts who looked, `absent` those among them who saw nothing.

    `agreement` is 0 to 1, None where nobody looked. `error_nm` is the likely error of the outline
    (say, the distance between those of two halves of the volunteers), None where it is not known.
    """

    roi: str
    z: int
    votes: int
    absent: int
    agreement: float | None
    area_um2: float
    error_nm: float | None = None
    replaced: bool = False

    @classmethod
    def of(cls, votes: SliceVotes) -> SliceQuality:
        """Who looked at a slice, before anything was made of it."""
        absent = sum(not vote.strokes for vote in votes.votes)
        return cls(votes.region, votes.z, len(votes.votes), absent, None, 0.0)

    @property
    def drawn(self) -> int:
        """How many volunteers drew something."""
        return self.votes - self.absent

    @property
    def there(self) -> bool:
        """Whether more drew something than saw nothing."""
        return self.drawn > self.absent


def best_and_worst(
    slices: Iterable[SliceQuality], count: int = 3
) -> tuple[tuple[SliceQuality, ...], tuple[SliceQuality, ...]]:
    """The slices that volunteers agree on most, and least: those to draw on the page.

    Of slices on which more drew than saw nothing. No two of a region are neighbours, and none is
    in both.
    """
    ranked = sorted(
        (one for one in slices if one.there and one.agreement is not None),
        key=lambda one: (one.agreement or 0.0, one.roi, one.z),
    )
    worst = _spaced(ranked, count)
    best = _spaced([one for one in reversed(ranked) if one not in worst], count)
    return best, worst


def _spaced(ranked: Iterable[SliceQuality], count: int) -> tuple[SliceQuality, ...]:
    chosen: list[SliceQuality] = []
    for one in ranked:
        if len(chosen) == count:
            break
        if all(one.roi != other.roi or abs(one.z - other.z) >= MIN_SPACING for other in chosen):
            chosen.append(one)
    return tuple(chosen)


def spread(values: Sequence[T], most: int) -> Sequence[T]:
    """Up to `most` of the values, evenly spread, the first among them.

    >>> spread("abcdefg", 3)
    'adg'
    """
    return values[:: -(-len(values) // most) or 1]
