"""A synthetic HeLa-like volume with its ground truth, of any size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from volproc.stages.description import Output, Stage
from volproc.stages.phantom.options import PhantomOptions


def _lines(nuclei: Any, tables: Mapping[str, Any]) -> Iterable[Any]:
    yield f"{len(nuclei)} nuclei, labelled in labels/nuclei"


STAGE = Stage(
    package=__name__,
    name="phantom",
    help="Make a HeLa-like volume of any size, with its nuclei as labels/nuclei.",
    options=PhantomOptions,
    outputs=(Output("out", "The volume.", "phantom.zarr", metavar="OUT.zarr"),),
    in_run="never",
    lines=_lines,
    about_result="A row for each nucleus: its id, volume and centre.",
)
