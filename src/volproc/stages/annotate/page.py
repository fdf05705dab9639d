"""The quality page: what it shows, as plain values, and the template that lays it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from math import floor, log10
from statistics import median

import numpy as np

from volproc import __version__
from volproc.stages import webpage
from volproc.stages.annotate.charts import Axis, bars, line, outline_path, shares, stroke_path
from volproc.stages.annotate.quality import (
    CurvePoint,
    DrawnSlice,
    Quality,
    SliceQuality,
    Wanted,
    curve_of,
    volunteers_for,
    wanted,
)
from volproc.stages.pictures import Picture, area_means, data_uri, grey, limits

CHART = (1180.0, 190.0)
"""Width and height of the chart of a region."""
SIDE = 520
"""Pixels of the longer side of a drawn slice."""
MARGIN = 0.12
"""Of what was drawn, shown around it."""
SMALLEST = 64
"""Pixels of the image that are shown at least."""
BINS = 20
UNSKILLED = 0.5
MOST_ROWS = 300
ERRORS_NM = (20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 200.0)


@dataclass(frozen=True)
class RegionChart:
    """Agreement and votes along z of one region: SVG paths and where they stand."""

    roi: str
    slices: int
    z: Axis
    share: Axis
    votes: Axis
    agreement: str
    drew: str
    nothing: str
    needy: tuple[tuple[float, float, str], ...]
    bar_px: float


@dataclass(frozen=True)
class CurveChart:
    """Error against volunteers: SVG path, bars, and where they stand."""

    points: tuple[CurvePoint, ...]
    volunteers: Axis
    error: Axis
    path: str
    bars: str
    needed: tuple[tuple[float, int | None], ...]


@dataclass(frozen=True)
class Shot:
    """A drawn slice: the image as a data URI, and lines over it as SVG paths."""

    quality: SliceQuality
    uri: str
    width: int
    height: int
    skilled: tuple[str, ...]
    unskilled: tuple[str, ...]
    outline: str
    bar_um: float
    bar_share: float


def quality_page(quality: Quality) -> str:
    """The page as HTML, complete in itself."""
    needy = wanted(quality)
    return webpage.render(
        "volproc.stages.annotate",
        "page.html.j2",
        page=quality,
        facts=facts(quality, needy),
        charts=region_charts(quality.slices, needy),
        curve=curve_chart(quality),
        skills=skill_bars(quality),
        best=[shot_of(one) for one in quality.best],
        worst=[shot_of(one) for one in quality.worst],
        wanted=needy[:MOST_ROWS],
        all_wanted=len(needy),
        version=__version__,
        made=f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
    )


def facts(quality: Quality, needy: Sequence[Wanted]) -> list[tuple[str, str, str]]:
    """Name, value and more of the numbers at the top."""
    summary, slices = quality.summary, quality.slices
    looked = [one for one in slices if one.votes]
    agreements = [one.agreement for one in slices if one.there and one.agreement is not None]
    rejected = sum(summary.rejected.values())
    found = [
        (
            "Slices",
            f"{len(looked):,}",
            f"on {sum(one.there for one in looked):,} of them most drew",
        ),
        ("Volunteers", f"{summary.volunteers:,}", f"{summary.votes:,} votes that count"),
        ("Rows read", f"{summary.rows:,}", f"{rejected:,} could not be used"),
    ]
    if agreements:
        most = f"from {min(agreements):.2f} to {max(agreements):.2f}"
        found.append(("Agreement, median", f"{median(agreements):.2f}", most))
    curve = curve_of(quality.subsamples)
    if curve:
        last = curve[-1]
        found.append(("Error", f"{last.mean_nm:.0f} nm", f"with {last.volunteers} volunteers"))
    more = sum(one.more for one in needy)
    found.append(("Need more", f"{len(needy):,} slices", f"about {more:,} votes"))
    return found


def region_charts(slices: Sequence[SliceQuality], needy: Sequence[Wanted]) -> list[RegionChart]:
    """One chart for each region, in the order of their names."""
    reasons = {(one.slice.roi, one.slice.z): one for one in needy}
    ordered = sorted(slices, key=lambda one: (one.roi, one.z))
    regions = groupby(ordered, key=lambda one: one.roi)
    return [_region_chart(roi, list(own), reasons) for roi, own in regions]


def _region_chart(
    roi: str, own: Sequence[SliceQuality], reasons: dict[tuple[str, int], Wanted]
) -> RegionChart:
    width, height = CHART
    z = Axis(own[0].z - 0.5, own[-1].z + 0.5, 40, width - 4)
    share = Axis(0, 1, height - 76, 8)
    votes = Axis(0, max(1, *(one.votes for one in own), 1), height - 20, height - 60)
    flagged = [
        (
            z.at(one.z),
            share.at(one.agreement or 0.0),
            f"slice {one.z}: {reasons[roi, one.z].reason}, {reasons[roi, one.z].more} more wanted",
        )
        for one in own
        if (roi, one.z) in reasons
    ]
    return RegionChart(
        roi=roi,
        slices=len(own),
        z=z,
        share=share,
        votes=votes,
        agreement=line(((one.z, one.agreement) for one in own), x=z, y=share),
        drew=bars(((one.z, 0, one.drawn) for one in own), x=z, y=votes),
        nothing=bars(((one.z, one.drawn, one.votes) for one in own), x=z, y=votes),
        needy=tuple(flagged),
        bar_px=round(min(14.0, max(0.6, 0.8 * (z.at(1) - z.at(0)))), 2),
    )


def curve_chart(quality: Quality) -> CurveChart | None:
    """Error against volunteers, and how many are needed for some errors; None without numbers."""
    points = curve_of(quality.subsamples)
    if not points:
        return None
    across = Axis(0, points[-1].volunteers + 1, 52, 700)
    up = Axis(0, 1.06 * max(point.high_nm for point in points), 220, 10)
    errors = sorted({*ERRORS_NM, quality.wanted_nm})
    return CurveChart(
        points=points,
        volunteers=across,
        error=up,
        path=line(((point.volunteers, point.mean_nm) for point in points), x=across, y=up),
        bars=bars(((p.volunteers, p.low_nm, p.high_nm) for p in points), x=across, y=up),
        needed=tuple((error, volunteers_for(points, error)) for error in errors),
    )


def skill_bars(quality: Quality) -> tuple[int, ...]:
    """Volunteers in each of 20 equal parts of the skills from 0 to 1; empty without skills."""
    return shares([one.skill for one in quality.skills], bins=BINS) if quality.skills else ()


def shot_of(drawn: DrawnSlice) -> Shot:
    """The part of a slice that was drawn on, small enough for a page, and the lines over it."""
    top, bottom, left, right = _shown(drawn)
    part = drawn.image[top:bottom, left:right]
    scale = min(1.0, SIDE / max(part.shape))
    rows, columns = (max(1, round(n * scale)) for n in part.shape)
    low, high = limits([part])
    edges = (np.linspace(0, n, m + 1) for n, m in zip(part.shape, (rows, columns), strict=True))
    small = area_means(np.nan_to_num(part.astype(np.float64), nan=low), *edges)
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    place = {"origin": (top, left), "scale": columns / part.shape[1]}
    strokes = [(one.skill >= UNSKILLED, stroke_path(one.points, **place)) for one in drawn.lines]
    bar_um, bar_share = _bar(part.shape[1] * drawn.nm[1] / 1000)
    return Shot(
        quality=drawn.quality,
        uri=data_uri(Picture(grey(small, low=low, high=high), ramp)),
        width=columns,
        height=rows,
        skilled=tuple(path for skilled, path in strokes if skilled),
        unskilled=tuple(path for skilled, path in strokes if not skilled),
        outline=outline_path(drawn.outline, **place),
        bar_um=bar_um,
        bar_share=bar_share,
    )


def _shown(drawn: DrawnSlice) -> tuple[int, int, int, int]:
    """First and last row and column of what was drawn, with a margin, inside the image."""
    size = drawn.image.shape
    points = [line.points for line in drawn.lines] + list(drawn.outline)
    points = [one for one in points if len(one)]
    if not points:
        return 0, size[0], 0, size[1]
    every = np.concatenate(points)
    found: list[int] = []
    for low, high, n in zip(every.min(0).tolist(), every.max(0).tolist(), size, strict=True):
        margin = max(MARGIN * (high - low), (SMALLEST - (high - low)) / 2)
        start = int(np.clip(floor(low - margin), 0, max(0, n - SMALLEST)))
        stop = int(np.clip(floor(high + margin) + 1, min(n, start + SMALLEST), n))
        found += [start, stop]
    return found[0], found[1], found[2], found[3]


def _bar(width_um: float) -> tuple[float, float]:
    """A round length of about a quarter of the width, in µm, and its share of the width."""
    power = 10.0 ** floor(log10(width_um / 4))
    length = max(power * factor for factor in (1, 2, 5) if power * factor <= width_um / 4)
    return length, length / width_um
