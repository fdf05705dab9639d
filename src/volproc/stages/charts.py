"""Positions and paths of SVG charts, computed here so that the template only writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor, log10
from typing import Generic, Protocol, TypeVar

import numpy as np

from volproc.drawing import Points

STEP_PX = 1.5
"""Points of a drawn line closer to one another than this are left out: nobody sees them."""
MIN_SLICES = 3
"""Regions with fewer have no chart of their own: all of them share one."""


class OnSlice(Protocol):
    """What is known of a slice of a region."""

    @property
    def roi(self) -> str:
        """The region's name."""

    @property
    def z(self) -> int:
        """The slice."""


T = TypeVar("T", bound=OnSlice)


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high`, drawn from `start` to `stop` of the picture."""

    low: float
    high: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        """Where a value is drawn."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(self.start + share * (self.stop - self.start), 1)

    @property
    def ticks(self) -> tuple[float, ...]:
        """Up to six round numbers on the axis.

        >>> Axis(0, 130, 0, 100).ticks, Axis(17, 21, 0, 100).ticks
        ((0.0, 50.0, 100.0), (17.0, 18.0, 19.0, 20.0, 21.0))
        """
        span = (self.high - self.low) or 1.0
        size = 10.0 ** floor(log10(span / 5))
        step = next(size * factor for factor in (1, 2, 5, 10) if span / (size * factor) <= 5)
        first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
        return tuple(round(n * step, 10) for n in range(first, last + 1))

    @property
    def whole_ticks(self) -> tuple[int, ...]:
        """Those that are whole numbers, for what is counted.

        >>> Axis(-0.5, 1.5, 0, 100).whole_ticks
        (0, 1)
        """
        return tuple(int(tick) for tick in self.ticks if tick == int(tick))


@dataclass(frozen=True)
class Strip(Generic[T]):
    """What one chart shows: rows in their order, and where along it each is.

    `apart`: they are of several regions, so that nothing leads from one to the next.
    """

    title: str
    rows: tuple[T, ...]
    places: tuple[int, ...]
    apart: bool = False

    def points(self, values: Sequence[float | None]) -> list[tuple[float, float | None]]:
        """Points of a line, with a gap after each where nothing leads to the next."""
        placed: list[tuple[float, float | None]] = []
        for at, value in zip(self.places, values, strict=True):
            placed += [(at, value), (at, None)] if self.apart else [(at, value)]
        return placed


def strips(rows: Iterable[T]) -> list[Strip[T]]:
    """A chart for each region along z, in the order of names, and one for all short regions."""
    ordered = sorted(rows, key=lambda row: (row.roi, row.z))
    regions = [(roi, tuple(own)) for roi, own in groupby(ordered, key=lambda row: row.roi)]
    long = [Strip(roi, own, tuple(one.z for one in own)) for roi, own in regions if _long(own)]
    short = tuple(one for _, own in regions if not _long(own) for one in own)
    if not short:
        return long
    title = f"Regions of fewer than {MIN_SLICES} slices"
    by_place = tuple(sorted(short, key=lambda one: one.z))
    return [*long, Strip(title, by_place, tuple(range(len(by_place))), apart=True)]


def _long(own: Sequence[OnSlice]) -> bool:
    return len(own) >= MIN_SLICES


def line(points: Iterable[tuple[float, float | None]], *, x: Axis, y: Axis) -> str:
    """The `d` of a path through points of a chart; one without a height leaves a gap.

    >>> line([(0, 0.0), (1, None), (2, 1.0)], x=Axis(0, 2, 0, 20), y=Axis(0, 1, 10, 0))
    'M0.0 10.0h0 M20.0 0.0h0'
    """
    parts: list[str] = []
    pen = "M"
    for across, height in points:
        if height is None:
            pen = "M"
            continue
        # h0 draws a dot, so that a value between two gaps is seen
        parts.append(f"{pen}{x.at(across)} {y.at(height)}" + "h0" * (pen == "M"))
        pen = "L"
    return " ".join(parts)


def bars(values: Iterable[tuple[float, float, float]], *, x: Axis, y: Axis) -> str:
    """The `d` of upright strokes, each at a place, from one value to another.

    >>> bars([(1, 0, 5), (2, 3, 3)], x=Axis(0, 2, 0, 20), y=Axis(0, 5, 10, 0))
    'M10.0 10.0V0.0'
    """
    return "".join(f"M{x.at(at)} {y.at(a)}V{y.at(b)}" for at, a, b in values if a != b)


def outline_path(loops: Iterable[Points], *, origin: Sequence[float], scale: float) -> str:
    """The `d` of closed lines, their points (y, x) seen from `origin` and times `scale`."""
    return "".join(f"{stroke_path(loop, origin=origin, scale=scale)}Z" for loop in loops)


def stroke_path(points: Points, *, origin: Sequence[float], scale: float) -> str:
    """The `d` of a drawn line, its points (y, x) seen from `origin` and times `scale`.

    Points that would fall together are left out.

    >>> stroke_path(np.float32([[0, 0], [0, 0.1], [4, 2]]), origin=(0, 0), scale=2)
    'M0.0 0.0L4.0 8.0'
    """
    placed = (np.asarray(points, dtype=np.float64) - np.asarray(origin)) * scale
    kept: list[tuple[float, float]] = []
    for n, (y, x) in enumerate(placed.tolist()):
        near = kept and max(abs(y - kept[-1][0]), abs(x - kept[-1][1])) < STEP_PX
        if not near or (n == len(placed) - 1 and len(kept) == 1):
            kept.append((y, x))
    if not kept:
        return ""
    # a single point is drawn as a dot
    text = "L".join(f"{x:.1f} {y:.1f}" for y, x in kept)
    return f"M{text}" + "h0" * (len(kept) == 1)


def shares(values: Sequence[float], *, bins: int) -> tuple[int, ...]:
    """How many of `values`, which are 0 to 1, fall into each of `bins` equal parts.

    >>> shares([0.0, 0.5, 0.99, 1.0], bins=2)
    (1, 3)
    """
    counts, _ = np.histogram(np.clip(values, 0.0, 1.0), bins=bins, range=(0.0, 1.0))
    return tuple(int(n) for n in counts)
