"""`run`, `plan` and `status`: which stages, in which order, on which files of the run's folder.

A run's folder holds what its stages write: image.zarr, filtered.zarr, subjects/, crowd.csv,
annotations.zarr (and its neighbours), model/, prediction.zarr, votes.zarr, nuclei.zarr,
objects.zarr, objects.csv, measure/, scores.json and report.html; the options (workflow.json), the
log (log.jsonl) and the record of what is done (ledger/).

Stages are imported when something is to be done: a finished run costs no more than looking.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volproc.config.loading import parsed
from volproc.engine.events import Note, Watcher
from volproc.errors import ConfigError
from volproc.retry import patient
from volproc.workflow.filled import SETTINGS, filled, own
from volproc.workflow.finished import found_by, nothing_to_do
from volproc.workflow.workflow_file import Workflow

if TYPE_CHECKING:
    from volproc.engine.protocol import Step
    from volproc.workflow.stage_status import StageStatus


def run(
    workflow: Workflow,
    *,
    stages: Sequence[str] = (),
    redo: Sequence[str] = (),
    watchers: Sequence[Watcher] = (),
    until: datetime | None = None,
) -> Path:
    """Run a workflow, or go on with it; returns the path of the report.

    `stages` limits it to some. What is recorded as done, from the same inputs and options, is
    left alone; what was made from others is remade, and said before. `redo` names stages that
    are remade in any case. All stages are planned before the first byte is written:
    VolprocError, one line, when something is missing or wrong. From `until` on no new blocks are
    begun: StoppedError when those at work are recorded, and the same call goes on from there.
    """
    options = filled(workflow)
    page = Path(own(options, "report.html"))
    if not redo and nothing_to_do(options, stages):
        for watch in watchers:
            watch(Note("nothing to do: everything is finished and nothing changed since"))
        return page
    from volproc.workflow.work import run_stages

    end = until.timestamp() if until else math.inf
    run_stages(options, stages=stages, redo=redo, watchers=watchers, until=end)
    return page


def found(workflow: Workflow) -> tuple[str, ...]:
    """What the last run of a workflow that came to its end found, and what to open, in lines."""
    return found_by(filled(workflow))


def plan(workflow: Workflow, *, stages: Sequence[str] = ()) -> list[tuple[str, tuple[Step, ...]]]:
    """The steps of every stage with blocks, bytes, memory and arithmetic; nothing is run."""
    from volproc.workflow.stage_status import steps_of

    return steps_of(filled(workflow), stages)


def status(folder: Path) -> tuple[StageStatus, ...]:
    """What of a run is done, stale, begun or missing, stage by stage; nothing is written."""
    from volproc.workflow.stage_status import status_of

    return status_of(filled(saved(folder)))


def running(folder: Path) -> str:
    """Who works on a run at this moment, and since when; "" if nobody does."""
    from volproc.workflow.stage_status import at_work

    return at_work(filled(saved(folder)))


@patient
def saved(folder: Path) -> Workflow:
    """The options that a run left in its folder; ConfigError if there are none."""
    settings = folder / SETTINGS
    if not settings.exists():
        raise ConfigError(
            f"{folder} is not a run's folder: it has no {SETTINGS}; see `volproc run`"
        )
    return parsed(Workflow, json.loads(settings.read_text()), where=str(settings))


@patient
def rates(log: Path) -> dict[str, float]:
    """Voxels per second of every step that the log of an earlier run tells of."""
    done: dict[str, list[float]] = {}
    for line in log.read_text().splitlines() if log.exists() else ():
        try:
            event: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:  # a full disk cut it short
            continue
        if event["event"] == "StepFinished" and event["voxels"]:
            total = done.setdefault(event["step"], [0.0, 0.0])
            total[0] += event["voxels"]
            total[1] += event["seconds"]
    return {step: voxels / seconds for step, (voxels, seconds) in done.items() if seconds}
