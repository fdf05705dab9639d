"""The page of scores: numbers, charts and pictures of the worst places, complete in itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from volproc import __version__
from volproc.stages import webpage
from volproc.stages.charts import Axis, line
from volproc.stages.evaluate.score_blocks import ScoreBlocks
from volproc.stages.evaluate.scores import Score, Scores
from volproc.stages.evaluate.worst_places import WorstPlace, worst_places
from volproc.volume.metadata import VolumeInfo

WIDTH, HEIGHT = 1180.0, 150.0


@dataclass(frozen=True)
class ScoreChart:
    """A line with its axes."""

    title: str
    x: Axis
    y: Axis
    path: str


@dataclass(frozen=True)
class AnswerPart:
    """What the page shows of one answer."""

    score: Score
    charts: tuple[ScoreChart, ...]
    places: tuple[WorstPlace, ...]


def page_of(scores: Scores, task: ScoreBlocks, *, image: VolumeInfo | None) -> str:
    """The page as HTML; pictures are of the first result's first answer to each class."""
    pictured = {task.results[0].names(target)[0] for target in task.targets}
    parts = tuple(
        AnswerPart(
            score,
            tuple(_charts(score)),
            _places(task, score, image) if score.name in pictured else (),
        )
        for score in scores.scores
    )
    return webpage.render(
        "volproc.stages.evaluate",
        "score_page.html.j2",
        scores=scores,
        parts=parts,
        tables=_tables(scores),
        version=__version__,
        made=f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
    )


def _places(task: ScoreBlocks, score: Score, image: VolumeInfo | None) -> tuple[WorstPlace, ...]:
    assert score.errors is not None
    return worst_places(task, score.errors, task.names.index(score.name), image=image)


def _tables(scores: Scores) -> dict[str, list[dict[str, Any]]]:
    found = {
        "Overlap": scores.rows(),
        "Surfaces, nm": scores.surface_rows(),
        "Objects": scores.object_rows(),
    }
    return {name: rows for name, rows in found.items() if rows}


def _charts(score: Score) -> list[ScoreChart]:
    rows = score.slice_rows()
    found = [_chart("Dice by slice", [*rows], [row["dice"] for row in rows.values()])]
    if score.outlines:
        errors = [row["masd_nm"] for row in rows.values()]
        found.append(_chart("MASD of outlines by slice, nm", [*rows], errors, most=None))
    if score.sweep:
        found.append(
            _chart("Dice by threshold", score.sweep["threshold"], score.sweep["dice"], margin=0.0)
        )
    return found


def _chart(
    title: str,
    places: Sequence[float],
    values: Sequence[float | None],
    *,
    most: float | None = 1.0,
    margin: float = 0.5,
) -> ScoreChart:
    highest = most or 1.08 * max((value for value in values if value is not None), default=1.0)
    x = Axis(places[0] - margin, places[-1] + margin, 40, WIDTH - 4)
    y = Axis(0, highest or 1.0, HEIGHT - 20, 8)
    return ScoreChart(title, x, y, line(zip(places, values, strict=True), x=x, y=y))
