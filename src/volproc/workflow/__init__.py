"""`run`, `plan` and `status`: which stages, in which order, on which files of the run's folder.

A run's folder holds what its stages write: image.zarr, filtered.zarr, subjects/, crowd.csv,
annotations.zarr (and its neighbours), model/, prediction.zarr, votes.zarr, nuclei.zarr,
objects.zarr, objects.csv, edited.zarr and edited.csv (where edits.jsonl has some), doubt.json,
measure/, scores.json and report.html; the options (workflow.json), the log (log.jsonl) and the
record of what is done (ledger/). The folder may be at any fsspec URL.

Stages are imported when something is to be done: a finished run costs no more than looking.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volproc.config.loading import parsed
from volproc.credentials import without_secrets
from volproc.engine.events import Note, Watcher
from volproc.engine.records import record_log
from volproc.errors import ConfigError
from volproc.faults import MALFORMED, understanding
from volproc.location import path_or_url
from volproc.volume.access import exists
from volproc.volume.file_io import read_file
from volproc.workflow.filled import LOG, SETTINGS, filled, own
from volproc.workflow.finished import found_by, nothing_to_do
from volproc.workflow.speeds import Rate
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
) -> Path | str:
    """Run a workflow, or go on with it; returns the path of the report, or its URL.

    `stages` limits it to some. What is recorded as done, from the same inputs and options, is
    left alone; what was made from others is remade, and said before. `redo` names stages that
    are remade in any case. All stages are planned before the first byte is written:
    VolprocError, one line, when something is missing or wrong. From `until` on no new blocks are
    begun: StoppedError when those at work are recorded, and the same call goes on from there.
    """
    options = filled(workflow)
    page = path_or_url(own(options, "report.html"))
    if not redo and nothing_to_do(options, stages):
        for watch in watchers:
            watch(Note("nothing to do: everything is finished and nothing changed since"))
        return page
    from volproc.workflow.work import run_stages

    end = until.timestamp() if until else math.inf
    run_stages(options, stages=stages, redo=redo, watchers=watchers, until=end)
    return page


def report(
    folders: Sequence[str | Path], *, out: str | Path = "runs.html", title: str = ""
) -> list[Path | str]:
    """Write the report of each run again, and of several runs one page of all at `out`.

    Returns the pages, or their URLs. ConfigError for what is no run's folder or no place.
    """
    runs = [saved(folder) for folder in folders]
    if len(runs) > 1 and not str(out).endswith(".html"):
        raise ConfigError(f"--out {out} is no page; end its name in .html")
    pages = [run(one, stages=("report",)) for one in runs]
    if len(pages) < 2:
        return pages
    from volproc.stages.report.runs_page import write_runs

    return [*pages, write_runs([str(page) for page in pages], out=str(out), title=title)]


def found(workflow: Workflow) -> tuple[str, ...]:
    """What the last run of a workflow that came to its end found, and what to open, in lines."""
    return found_by(filled(workflow))


def plan(workflow: Workflow, *, stages: Sequence[str] = ()) -> list[tuple[str, tuple[Step, ...]]]:
    """The steps of every stage with blocks, bytes, memory and arithmetic; nothing is run."""
    from volproc.workflow.stage_status import steps_of

    return steps_of(filled(workflow), stages)


def status(folder: str | Path) -> tuple[StageStatus, ...]:
    """What of a run is done, stale, begun or missing, stage by stage; nothing is written."""
    from volproc.workflow.stage_status import status_of

    return status_of(filled(saved(folder)))


def running(folder: str | Path) -> str:
    """Who works on a run at this moment, and since when; "" if nobody does."""
    from volproc.workflow.stage_status import at_work

    return at_work(filled(saved(folder)))


def saved(folder: str | Path) -> Workflow:
    """The options that a run left in its folder; ConfigError if there are none."""
    folder = without_secrets(os.fspath(folder))
    settings = f"{folder.rstrip('/')}/{SETTINGS}"
    if not exists(settings):
        raise ConfigError(
            f"{folder} is not a run's folder: it has no {SETTINGS}; see `volproc run`"
        )
    damaged = f"{settings} is damaged ({{}}); start the run again from its workflow file"
    with understanding(ConfigError, damaged):
        stated = json.loads(read_file(settings))
    return parsed(Workflow, stated, where=settings)


def rates(folder: str) -> dict[str, Rate]:
    """How fast every step was that the log of an earlier run in a folder tells of."""
    done: dict[str, tuple[float, float]] = {}
    precisions: dict[str, str] = {}
    for line in record_log(f"{folder.rstrip('/')}/{LOG}").peek():
        with suppress(*MALFORMED):  # a full disk cut it short, say
            event: dict[str, Any] = json.loads(line)
            if event["event"] == "StepStarted":
                now = event.get("precision", "float32")
                if precisions.get(event["step"], now) != now:
                    done.pop(event["step"], None)
                precisions[event["step"]] = now
            if event["event"] == "StepFinished" and event["voxels"]:
                voxels, seconds = done.get(event["step"], (0.0, 0.0))
                done[event["step"]] = (voxels + event["voxels"], seconds + event["seconds"])
    return {
        step: Rate(voxels / seconds, precisions.get(step, "float32"))
        for step, (voxels, seconds) in done.items()
        if seconds
    }
