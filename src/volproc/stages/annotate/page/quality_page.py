"""The quality page: what it shows, as plain values, and the template that lays it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from volproc import __version__
from volproc.stages import webpage
from volproc.stages.annotate.export.export_summary import Summary
from volproc.stages.annotate.page.score_tables import (
    COLUMNS,
    distance_rows,
    error_charts,
    method_rows,
    region_rows,
)
from volproc.stages.annotate.page.slice_pictures import DrawnSlice, level_panel_of, panel_of
from volproc.stages.annotate.quality.level_sets import Level
from volproc.stages.annotate.quality.slice_quality import SliceQuality
from volproc.stages.annotate.quality.slice_scores import FORMULAS, MethodDistance, MethodScores
from volproc.stages.annotate.quality.volunteers_needed import (
    CurvePoint,
    Subsample,
    VolunteersNeeded,
    curve_of,
    volunteers_for,
    volunteers_needed,
)
from volproc.stages.charts import Axis, Strip, bars, line, shares, strips

CHART = (1180.0, 190.0)
"""Width and height of the chart of a region."""
BINS = 20
MAX_ROWS = 300
LEVELS_SIDE = 300
"""Pixels of the longer side of a slice with its level sets."""
NOTHING = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
"""A transparent pixel: where there is no image."""
ERRORS_NM = (20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 200.0)


@dataclass(frozen=True)
class VolunteerSkill:
    """One volunteer: their weight, 0 to 1, and on how many slices they were measured."""

    skill: float
    slices: int


@dataclass(frozen=True)
class Quality:
    """Everything the page shows. `reference` names what `Subsample.error_nm` is measured against.

    `target_nm` is the error to reach. `scored` are the labels and other methods against a ground
    truth; without one, `apart` has the distances between methods.
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
    min_votes: int = 3
    target_nm: float = 50.0
    made_by: str = ""
    scored: Sequence[MethodScores] = ()
    apart: Sequence[MethodDistance] = ()
    levels: Sequence[tuple[DrawnSlice, Sequence[Level]]] = ()

    @property
    def needed(self) -> tuple[VolunteersNeeded, ...]:
        """Slices that need more volunteers, those that need most first."""
        return volunteers_needed(self.slices, min_votes=self.min_votes, target_nm=self.target_nm)


@dataclass(frozen=True)
class RegionChart:
    """Agreement and votes along z of one region: SVG paths and their axes."""

    roi: str
    slices: int
    apart: bool
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
    """Error against volunteers: SVG path, bars and their axes."""

    points: tuple[CurvePoint, ...]
    volunteers: Axis
    error: Axis
    path: str
    bars: str
    needed: tuple[tuple[float, int | None], ...]


def quality_page(quality: Quality) -> str:
    """The page as HTML, complete in itself."""
    needy = quality.needed
    return webpage.render(
        "volproc.stages.annotate.page",
        "quality_page.html.j2",
        page=quality,
        facts=facts(quality, needy),
        charts=region_charts(quality.slices, needy),
        curve=curve_chart(quality),
        skills=skill_bars(quality),
        score_columns=[heading for _, heading, _, _ in COLUMNS],
        score_rows=method_rows(quality.scored),
        roi_rows=region_rows(quality.scored, quality.made_by),
        error_charts=error_charts(quality.scored, quality.made_by),
        formulas=FORMULAS,
        nothing=NOTHING,
        drawn_slices=sum(one.drawn > 0 for one in quality.slices),
        apart=distance_rows(quality.apart),
        levels=[
            level_panel_of(drawn, levels, side=LEVELS_SIDE) for drawn, levels in quality.levels
        ],
        best=[panel_of(one) for one in quality.best],
        worst=[panel_of(one) for one in quality.worst],
        needed=needy[:MAX_ROWS],
        all_needed=len(needy),
        version=__version__,
        made=f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
    )


def facts(quality: Quality, needy: Sequence[VolunteersNeeded]) -> list[tuple[str, str, str]]:
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


def region_charts(
    slices: Sequence[SliceQuality], needy: Sequence[VolunteersNeeded]
) -> list[RegionChart]:
    """One chart for each region, in the order of their names; short ones share the last."""
    reasons = {(one.slice.roi, one.slice.z): one for one in needy}
    return [_region_chart(strip, reasons) for strip in strips(slices)]


def _region_chart(
    strip: Strip[SliceQuality], reasons: dict[tuple[str, int], VolunteersNeeded]
) -> RegionChart:
    width, height = CHART
    own, places = strip.rows, strip.places
    z = Axis(places[0] - 0.5, places[-1] + 0.5, 40, width - 4)
    share = Axis(0, 1, height - 76, 8)
    votes = Axis(0, max(1, *(one.votes for one in own), 1), height - 20, height - 60)
    placed = list(zip(places, own, strict=True))
    flagged = [
        (z.at(at), share.at(one.agreement or 0.0), _why(reasons[one.roi, one.z]))
        for at, one in placed
        if (one.roi, one.z) in reasons
    ]
    return RegionChart(
        roi=strip.title,
        slices=len(own),
        apart=strip.apart,
        z=z,
        share=share,
        votes=votes,
        agreement=line(strip.points([one.agreement for one in own]), x=z, y=share),
        drew=bars(((at, 0, one.drawn) for at, one in placed), x=z, y=votes),
        nothing=bars(((at, one.drawn, one.votes) for at, one in placed), x=z, y=votes),
        needy=tuple(flagged),
        bar_px=round(min(14.0, max(0.6, 0.8 * (z.at(1) - z.at(0)))), 2),
    )


def _why(needed: VolunteersNeeded) -> str:
    return f"{needed.slice.roi}, slice {needed.slice.z}: {needed.reason}, {needed.more} more needed"


def curve_chart(quality: Quality) -> CurveChart | None:
    """Error against volunteers, and how many are needed for some errors; None without numbers."""
    points = curve_of(quality.subsamples)
    if not points:
        return None
    across = Axis(0, points[-1].volunteers + 1, 52, 700)
    up = Axis(0, 1.06 * max(point.high_nm for point in points), 220, 10)
    errors = sorted({*ERRORS_NM, quality.target_nm})
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
