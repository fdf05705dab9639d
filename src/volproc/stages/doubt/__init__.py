"""How probable it is that each object is right, without a ground truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from volproc.stages.description import Input, Output, Stage
from volproc.stages.doubt.options import DoubtOptions


def _resolve(workflow: Any, place: Callable[[str], str]) -> DoubtOptions:
    """With the threshold by which the run labels, unless another one is named."""
    options: DoubtOptions = workflow.doubt
    if "threshold" in options.model_fields_set:
        return options
    return options.model_copy(update={"threshold": workflow.label.threshold})


def _lines(made: Any, tables: Mapping[str, Any]) -> Iterable[Any]:
    yield f"{made.objects} objects judged: {made.url}, {made.table}"
    for name in ("precision", "recall"):
        value, low, high = getattr(made, f"expected_{name}")
        if value is not None:
            yield f"expected {name} {value:.2f} ({low:.2f} to {high:.2f})"
    if made.objects:
        yield f"look first at {', '.join(map(str, made.most_doubtful[:12]))}"
    yield from made.notes


STAGE = Stage(
    package=__name__,
    name="doubt",
    help="Say how probable it is that each object is right, and why not; without a ground truth.",
    options=DoubtOptions,
    inputs=(
        Input("labels", "The objects.", ("fix.out", "label.out"), metavar="OBJECTS.zarr"),
        Input(
            "votes",
            "The axes' votes.",
            ("predict.votes",),
            required=False,
            metavar="VOTES.zarr",
        ),
        Input(
            "prediction",
            "The probability, where there are no votes.",
            ("predict.out",),
            required=False,
            metavar="PREDICTION.zarr",
        ),
    ),
    outputs=(Output("out", "What was found out, as JSON.", "doubt.json", metavar="DOUBT.json"),),
    in_run="always",
    resolve=_resolve,
    lines=_lines,
    returns="volproc.stages.doubt.stage.DoubtResult",
    about_result="A probability and a reason for each object, and scores to be expected.",
)
