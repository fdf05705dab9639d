"""Numbers about every object, and its mesh."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from volproc.stages.description import Input, Output, Stage
from volproc.stages.measure.options import MeasureOptions


def _lines(made: Any, tables: Mapping[str, Any]) -> Iterable[Any]:
    kept = f"; meshes in {made.meshes}" if made.meshes else ""
    yield f"{made.objects} objects, listed in {made.table}{kept}"
    if made.why:
        yield made.why


STAGE = Stage(
    package=__name__,
    name="measure",
    help="Measure labelled objects: a table of volumes, surfaces and shapes, and their meshes.",
    options=MeasureOptions,
    inputs=(
        Input("labels", "The objects.", ("fix.out", "label.out"), metavar="OBJECTS.zarr"),
        Input(
            "image",
            "Also the mean intensity of each object.",
            ("ingest.out", "run.source"),
            required=False,
            metavar="IMAGE.zarr",
        ),
        Input(
            "votes",
            "Also how far the axes agree on each object.",
            ("predict.votes",),
            required=False,
            metavar="VOTES.zarr",
        ),
    ),
    outputs=(Output("out", "The folder of tables and meshes.", "measure", metavar="OUT/"),),
    lines=_lines,
    returns="volproc.stages.measure.stage.MeasureResult",
    about_result="The table of the objects, and their meshes.",
)
