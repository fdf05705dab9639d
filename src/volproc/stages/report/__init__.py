"""The page at the end of a run: pictures, numbers, and where the axes disagree."""

from __future__ import annotations

from volproc.stages.description import Input, Output, Stage
from volproc.stages.report.options import ReportOptions

STAGE = Stage(
    package=__name__,
    name="report",
    help="The page of a run: pictures, numbers, times, and where the axes disagree.",
    options=ReportOptions,
    inputs=(Input("image", "The image.", ("ingest.out", "run.source")),),
    outputs=(Output("out", "The page.", "report.html"),),
    in_run="always",
    command=False,
    after=("predict", "label", "fix", "doubt", "measure", "evaluate"),
)
