"""What is found out about a crowd and its labels: all that the quality page shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy.typing as npt

from volproc.drawing import Points, SliceVotes
from volproc.stages.annotate.comparison import Apart, Scored
from volproc.stages.annotate.curve import Subsample
from volproc.stages.annotate.levels import Level
from volproc.stages.annotate.tally import Summary

APART = 5
"""Slices of a region between two that are drawn: neighbours would look alike."""


@dataclass(frozen=True)
class SliceQuality:
    """One slice. `votes` counts who looked, `absent` those among them who saw nothing.

    `agreement` is 0 to 1, None where nobody looked. `error_nm` says how far the outline is likely
    to be off (say, that between two halves of the volunteers), None where that is not known.
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


@dataclass(frozen=True)
class VolunteerSkill:
    """One volunteer: their weight, 0 to 1, and on how many slices they were measured."""

    skill: float
    slices: int


@dataclass(frozen=True)
class Line:
    """A volunteer's stroke in the pixels of a slice's image, with the volunteer's weight."""

    points: Points
    skill: float = 1.0


@dataclass(frozen=True)
class DrawnSlice:
    """A slice to look at: its grey image, who drew what on it, and the outline that was made.

    Points are (y, x) in the image's pixels, which measure `nm` (y, x); `blank`: it shows nothing.
    """

    quality: SliceQuality
    image: npt.NDArray[Any]
    lines: tuple[Line, ...]
    outline: tuple[Points, ...]
    nm: tuple[float, float]
    blank: bool = False


@dataclass(frozen=True)
class Quality:
    """Everything the page shows. `reference` says in words what `Subsample.error_nm` is against.

    `wanted_nm` is the error that one is content with. `scored` are the labels and other methods
    against a truth; without one, `apart` says how far methods are from one another.
    """

    title: str
    method: str
    summary: Summary
    slices: Sequence[SliceQuality]
    subsamples: Sequence[Subsample] = ()
    reference: str = "the outline of all who looked"
    skills: Sequence[VolunteerSkill] = ()
    best: Sequence[DrawnSlice] = ()
    worst: Sequence[DrawnSlice] = ()
    fewest_votes: int = 3
    wanted_nm: float = 50.0
    made_by: str = ""
    scored: Sequence[Scored] = ()
    apart: Sequence[Apart] = ()
    levels: Sequence[tuple[DrawnSlice, Sequence[Level]]] = ()


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
        if all(one.roi != other.roi or abs(one.z - other.z) >= APART for other in chosen):
            chosen.append(one)
    return tuple(chosen)


T = TypeVar("T")


def spread(values: Sequence[T], most: int) -> Sequence[T]:
    """Up to `most` of the values, evenly spread, the first among them.

    >>> spread("abcdefg", 3)
    'adg'
    """
    return values[:: -(-len(values) // most) or 1]
