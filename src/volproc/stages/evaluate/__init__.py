"""Scores of a result against a ground truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from volproc.stages.description import Input, Output, Stage
from volproc.stages.evaluate.options import EvaluateOptions

_IN_FILES_ONLY = {
    *("truth_to_labels_nm", "labels_to_truth_nm", "assd_nm", "hd_nm"),
    *("sq", "rq", "rand_precision", "rand_recall"),
}


def _lines(scores: Any, tables: Mapping[str, Any]) -> Iterable[Any]:
    for rows in (scores.rows(), scores.surface_rows(), scores.object_rows()):
        if rows:
            yield _table([{k: v for k, v in row.items() if _fits(k)} for row in rows])
    yield from scores.about.get("notes", ())


def _fits(name: str) -> bool:
    """Whether a terminal has room for a score; files have all of them."""
    return name not in _IN_FILES_ONLY and not name.startswith("objects_")


def _table(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table(*(name.removesuffix("_nm").replace("_", " ") for name in rows[0]))
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    return table


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


STAGE = Stage(
    package=__name__,
    name="evaluate",
    help="Score a result (a mask, labels, a probability, or votes) against a label volume.",
    options=EvaluateOptions,
    inputs=(
        Input("result", "What is scored.", ("predict.out",), metavar="RESULT.zarr"),
        Input("ground_truth", "The ground truth: labels.", metavar="TRUTH.zarr"),
        Input("votes", "The axes' votes.", ("predict.votes",), required=False, only_in_run=True),
        Input("ignore", "What is not scored.", required=False, metavar="IGNORE.zarr"),
        Input(
            "image",
            "The image, shown on the page.",
            ("ingest.out", "run.source"),
            required=False,
            metavar="IMAGE.zarr",
        ),
    ),
    outputs=(
        Output(
            "out",
            "Write all scores there, as JSON.",
            "scores.json",
            required=False,
            metavar="FILE.json",
            flags=("--json",),
        ),
        Output(
            "csv",
            "Write all rows there, as CSV.",
            "scores.csv",
            required=False,
            metavar="FILE.csv",
        ),
        Output(
            "page",
            "Write a page there, with the worst places.",
            "scores.html",
            required=False,
            metavar="FILE.html",
        ),
    ),
    in_run=lambda workflow: bool(workflow.evaluate.ground_truth),
    lines=_lines,
    returns="volproc.stages.evaluate.scores.Scores",
    about_result="The scores, a row for each result.",
)
