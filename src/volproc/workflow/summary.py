"""What a finished run found and what to open, in a few lines."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from shlex import quote

from volproc.errors import VolumeError
from volproc.faults import understanding
from volproc.stages.empty_result import NOTHING
from volproc.stages.webpage import duration
from volproc.volume.file_io import read_file
from volproc.volume.store import open_volume
from volproc.workflow.filled import own
from volproc.workflow.workflow_file import Workflow

VIEWED = {"predict", "interior", "label", "fix"}
"""Stages that make a volume to look at."""


def summary(options: Workflow, stages: Collection[str], seconds: float) -> tuple[str, ...]:
    """The lines of a run of these stages that took so long; what others made may be stale."""
    found = [*(_objects(options) if "label" in stages else ())]
    found += _scores(options) if "evaluate" in stages else ()
    lines = [f"{'; '.join(found) or 'finished'}; {duration(seconds)}"]
    if "label" in stages:
        lines.append(f"table: {own(options, 'objects.csv')}")
    if "report" in stages:
        lines.append(f"report: {own(options, 'report.html')}")
    if VIEWED & set(stages):
        lines.append(f"look at it: volproc view {quote(own(options, '').rstrip('/'))}")
    return tuple(lines)


def _objects(options: Workflow) -> Iterator[str]:
    """How many objects there are, or why none."""
    record = open_volume(own(options, "objects.zarr")).info.provenance
    if "objects" in record:  # labels of an earlier release do not say
        yield record.get(NOTHING) or f"{record['objects']:,} objects"


def _scores(options: Workflow) -> Iterator[str]:
    """The Dice of the prediction; or why there is none."""
    place = own(options, "scores.json")
    content = read_file(place)
    damaged = f"{place} is damaged ({{}}); remove it and run the same command again"
    with understanding(VolumeError, damaged):
        found = json.loads(content)
        for row in found["scores"]:
            if row["answer"] == "prediction" and row["dice"] is not None:
                yield f"Dice {row['dice']:.4f} against {options.evaluate.ground_truth}"
        yield from found.get("notes", ())
