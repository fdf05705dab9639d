"""Scores of a result against a ground truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from volproc.stages.description import Input, Output, Stage
from volproc.stages.evaluate.options import EvaluateOptions


def _lines(scores: Any, tables: Mapping[str, Any]) -> Iterable[Any]:
    from rich.table import Table

    rows = scores.rows()
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()))
    yield table
    yield from scores.about.get("notes", ())


STAGE = Stage(
    package=__name__,
    name="evaluate",
    help="Score a result (a mask, labels, a probability, or votes) against a label volume.",
    options=EvaluateOptions,
    inputs=(
        Input("result", "What is scored.", ("predict.out",), metavar="RESULT.zarr"),
        Input("ground_truth", "The ground truth: labels.", metavar="TRUTH.zarr"),
        Input("votes", "The axes' votes.", ("predict.votes",), required=False, only_in_run=True),
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
    ),
    in_run=lambda workflow: bool(workflow.evaluate.ground_truth),
    lines=_lines,
    returns="volproc.stages.evaluate.overlap_scores.Scores",
    about_result="The scores, a row for each result.",
)
