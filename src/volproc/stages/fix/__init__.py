"""Labels with the edits that people made: merged, split, deleted and painted objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from volproc.stages.description import Input, Output, Stage
from volproc.stages.fix.options import FixOptions


def _lines(result: Any, tables: Mapping[str, Any]) -> Iterable[Any]:
    yield (
        f"{result.objects} objects in {result.labels.info.url}, listed in {result.table}: "
        f"{result.edits} edits, {result.written} blocks written"
    )


def _has_edits(workflow: Any) -> bool:
    from volproc.stages.edits.edit_log import NAME, has_edits

    return has_edits(f"{workflow.run.folder.rstrip('/')}/{NAME}")


STAGE = Stage(
    package=__name__,
    name="fix",
    help="Apply a run's edits to its objects: merged, split, deleted and painted ones.",
    options=FixOptions,
    inputs=(Input("labels", "The objects.", ("label.out",), metavar="OBJECTS.zarr"),),
    outputs=(Output("out", "The edited objects.", "edited.zarr", metavar="EDITED.zarr"),),
    in_run=_has_edits,
    command=False,
    lines=_lines,
)
