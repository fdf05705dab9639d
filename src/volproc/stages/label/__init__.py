"""Voxels that touch become numbered objects, over any number of blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from volproc.stages.description import Input, Output, Stage
from volproc.stages.label.options import LabelOptions


def _lines(result: Any, tables: Mapping[str, Any]) -> Iterable[Any]:
    """What a labelling kept and dropped, and why."""
    yield f"{result.objects} objects in {result.labels.info.url}, listed in {result.table}"
    if not result.objects:
        yield result.why
    elif result.dropped:
        why = ", ".join(f"{n} by {option}" for option, n in result.reasons.items())
        most = result.largest_dropped_um3
        largest = f", the largest of {most:.3g} um³" if most else ""
        yield f"{result.dropped} dropped ({why}){largest}"


STAGE = Stage(
    package=__name__,
    name="label",
    help="Number connected components and list them in a table.",
    options=LabelOptions,
    inputs=(
        Input(
            "mask",
            "A mask, a probability, or labels.",
            ("interior.out", "predict.out"),
            metavar="MASK.zarr",
        ),
        Input(
            "image_grid",
            "Also write the labels on this image's grid.",
            ("ingest.out", "run.source"),
            required=False,
            metavar="IMAGE.zarr",
        ),
    ),
    outputs=(Output("out", "The objects.", "objects.zarr", metavar="OBJECTS.zarr"),),
    in_run="always",
    lines=_lines,
    returns="volproc.stages.label.stage.LabelResult",
    about_result="The labels, their table, and how many objects were kept and dropped.",
)
