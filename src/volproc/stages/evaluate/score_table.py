"""All scores as the rows of one table: of the whole, of slices, objects and thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from volproc.spreadsheet import table_csv
from volproc.stages.evaluate.scores import Row, Score, Scores
from volproc.stages.scores.contingency import Contingency

FIRST = ("answer", "of", "id")


def csv_of(scores: Scores) -> str:
    """The table as CSV; `of` says what a row is of, `id` which slice, object or threshold."""
    rows = [row for score in scores.scores for row in table_rows(score)]
    names = dict.fromkeys(name for row in rows for name in row if name not in FIRST)
    header = (*FIRST, *names)
    return table_csv(header, ([row.get(name) for name in header] for row in rows))


def table_rows(score: Score) -> Iterator[dict[str, Any]]:
    """The rows of one answer."""
    yield _row(score, "whole", None, score.whole.as_row())
    for how, row in score.surfaces.items():
        yield _row(score, f"surfaces {how}", None, row)
    for name, part in (("objects", score.objects), ("reference", score.reference)):
        if part is not None:
            yield _row(score, name, None, {k: v for k, v in part.items() if not _listed(v)})
    for z, row in score.slice_rows().items():
        yield _row(score, "slice", z, row)
    for one in object_rows(score):
        yield _row(score, "object", one.pop("id"), one)
    if score.sweep is not None:
        names = ("threshold", "dice", "precision", "recall")
        for threshold, *values in zip(*(score.sweep[name] for name in names), strict=True):
            yield _row(score, "threshold", threshold, dict(zip(names[1:], values, strict=True)))


def object_rows(score: Score) -> Iterator[dict[str, Any]]:
    """Each object of the truth: its voxels, and the object of the result that fits it best."""
    if score.objects is None or score.pairs is None:
        return
    table = Contingency.of(score.pairs)
    best = table.overlaps.best()
    (ids, sizes), _ = table.sizes
    for one, voxels in zip(ids.tolist(), sizes.tolist(), strict=True):
        found, iou = best.get(one, (None, 0.0))
        yield {
            "id": one,
            "voxels": voxels,
            "result": found,
            "iou": iou,
            "dice": 2 * iou / (1 + iou),
        }


def _row(score: Score, of: str, identifier: Any, values: Row) -> dict[str, Any]:
    return {"answer": score.name, "of": of, "id": identifier, **values}


def _listed(value: object) -> bool:
    return isinstance(value, list | dict)
