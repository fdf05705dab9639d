"""Tables and charts of scores for the quality page, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from volproc.stages.annotate.quality.slice_scores import (
    MeanDistance,
    MeanScores,
    MethodDistance,
    MethodScores,
    by_method,
    by_region,
    distances,
)
from volproc.stages.charts import Axis, Strip, line, strips

CHART = (1180.0, 150.0)
"""Width and height of the errors along z of a region."""
COLUMNS = (
    ("dice", "Dice", "{:.4f}", max),
    ("iou", "IoU", "{:.4f}", max),
    ("masd_nm", "MASD nm", "{:.1f}", min),
    ("nsd_50", "NSD 50 nm", "{:.3f}", max),
    ("nsd_100", "NSD 100 nm", "{:.3f}", max),
    ("found", "fragments found", "{:.3f}", max),
    ("made_up", "made up", "{:d}", min),
    ("false", "drawn where nothing is", "{:d}", min),
)
"""Name, heading, form and which is better."""


@dataclass(frozen=True)
class TableCell:
    """A number as it is shown; whether it is the best of its column; what sorts the column."""

    text: str
    best: bool
    value: float


@dataclass(frozen=True)
class ScoreRow:
    """A method, or a region, and its scores."""

    name: str
    slices: int
    cells: tuple[TableCell, ...]


@dataclass(frozen=True)
class ErrorChart:
    """Error along z of one region: SVG path and its axes."""

    roi: str
    apart: bool
    z: Axis
    error: Axis
    path: str
    worst: str


@dataclass(frozen=True)
class DistanceRow:
    """A method: how far each of the others is, in nm (None is itself), and their mean Dice."""

    name: str
    nm: tuple[float | None, ...]
    dice: float


def method_rows(scored: Sequence[MethodScores]) -> list[ScoreRow]:
    """A row for each method, what made the labels first."""
    return _rows(by_method(scored))


def region_rows(scored: Sequence[MethodScores], method: str) -> list[ScoreRow]:
    """A row for each region, of one method's results."""
    return _rows({roi: own[method] for roi, own in by_region(scored).items()}, best=False)


def _rows(found: dict[str, MeanScores], *, best: bool = True) -> list[ScoreRow]:
    shown = [
        _column([getattr(means, name) for means in found.values()], form, better, best=best)
        for name, _, form, better in COLUMNS
    ]
    named = zip(found.items(), zip(*shown, strict=True), strict=True)
    return [ScoreRow(name, means.slices, cells) for (name, means), cells in named]


def _column(
    values: Sequence[float | None], form: str, better: object, *, best: bool
) -> list[TableCell]:
    known = [value for value in values if value is not None]
    top = (max(known) if better is max else min(known)) if best and len(known) > 1 else None
    texts = ["–" if value is None else form.format(value) for value in values]
    shown = None if top is None else form.format(top)
    return [
        TableCell(text, text == shown, -1.0 if value is None else value)
        for text, value in zip(texts, values, strict=True)
    ]


def error_charts(scored: Sequence[MethodScores], method: str) -> list[ErrorChart]:
    """MASD on each slice with something to find: a chart per region; short ones share one."""
    own = [s for s in scored if s.method == method and s.scores.masd_nm is not None]
    return [_error_chart(strip) for strip in strips(own)]


def _error_chart(strip: Strip[MethodScores]) -> ErrorChart:
    errors = [one.scores.masd_nm or 0.0 for one in strip.rows]
    width, height = CHART
    z = Axis(strip.places[0] - 0.5, strip.places[-1] + 0.5, 40, width - 4)
    error = Axis(0, 1.08 * max(errors) or 1.0, height - 20, 8)
    far = errors.index(max(errors))
    worst = f"worst on slice {strip.rows[far].z}: {errors[far]:.0f} nm"
    path = line(_gapped(strip, errors), x=z, y=error)
    return ErrorChart(strip.title, strip.apart, z, error, path, worst)


def _gapped(
    strip: Strip[MethodScores], errors: Sequence[float]
) -> list[tuple[float, float | None]]:
    """Points of the line, broken where slices without anything to find come between."""
    points = strip.points(errors)
    found: list[tuple[float, float | None]] = []
    for place, value in points:
        if found and place - found[-1][0] > 1:
            found.append((place, None))
        found.append((place, value))
    return found


def distance_rows(apart: Sequence[MethodDistance]) -> list[DistanceRow]:
    """The distances between methods: a square table."""
    names = list(dict.fromkeys(name for one in apart for name in (one.method, one.other)))
    between = distances(apart)
    return [_distance_row(name, names, between) for name in names]


def _distance_row(
    name: str, names: Sequence[str], between: dict[tuple[str, str], MeanDistance]
) -> DistanceRow:
    others = [between.get((name, other)) for other in names]
    known = [one.dice for one in others if one]
    return DistanceRow(
        name, tuple(one.masd_nm if one else None for one in others), fmean(known) if known else 1.0
    )
