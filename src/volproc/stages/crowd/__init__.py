"""Volunteers that are simulated: they draw a ground truth as people do, well or badly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from volproc.errors import ConfigError
from volproc.stages.crowd.options import CrowdOptions
from volproc.stages.description import Input, Output, Stage


def _resolve(workflow: Any, place: Callable[[str], str]) -> CrowdOptions:
    options: CrowdOptions = workflow.crowd
    if not options.ground_truth:
        raise ConfigError(
            "[crowd] ground_truth is missing; name the label volume that volunteers draw"
        )
    return options


def _lines(drawn: Any, tables: Mapping[str, Any]) -> Iterable[Any]:
    yield (
        f"{drawn.url}: {drawn.classifications} classifications, {drawn.absent} of them absent, "
        f"{drawn.strokes} strokes"
    )


STAGE = Stage(
    package=__name__,
    name="crowd",
    help="Simulate volunteers who draw the objects of a label volume, as a Zooniverse export.",
    options=CrowdOptions,
    inputs=(Input("ground_truth", "The labels they draw.", metavar="TRUTH.zarr"),),
    outputs=(Output("out", "The classification export.", "crowd.csv", metavar="OUT.csv"),),
    resolve=_resolve,
    lines=_lines,
    returns="volproc.stages.crowd.stage.CrowdSummary",
    about_result="How many classifications and strokes were drawn.",
)
