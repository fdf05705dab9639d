"""`run` and `plan`: which stages, in which order (stages.py), on which files of the run's folder.

A run's folder holds what its stages write: image.zarr, subjects/, crowd.csv, annotations.zarr
(and its neighbours), model/, prediction.zarr, votes.zarr, objects.zarr, objects.csv, measure/,
scores.json and report.html; the options (workflow.json), the log (log.jsonl) and the record of
what is done (ledger/).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from volproc.config import Workflow, parsed
from volproc.engine.clusters.choose import engine_of
from volproc.engine.progress import JsonLines, Watcher
from volproc.engine.protocol import Cost
from volproc.engine.run import Runner
from volproc.errors import ConfigError
from volproc.volume.files import write_file
from volproc.workflow.filled import filled, own
from volproc.workflow.plans import Plans
from volproc.workflow.stages import STAGES, StageOfRun

SETTINGS = "workflow.json"
"""The options of a run, kept in its folder: `volproc report RUN/` reads them."""
LEFT_BY_KILLED = ("*.partial", "*.tables/*.partial", "*.parts/*.partial", "*.volproc/**/*.partial")


def run(
    workflow: Workflow, *, stages: Sequence[str] = (), watchers: Sequence[Watcher] = ()
) -> Path:
    """Run a workflow, or go on with it; returns the path of the report.

    `stages` limits it to some. What is recorded as done, from the same inputs and options, is
    left alone. VolprocError, one line, when something is missing or wrong.
    """
    options = filled(workflow)
    wanted = chosen(options, stages)
    folder = _begun(options)
    log = JsonLines(folder / "log.jsonl")
    with engine_of(options.cluster) as engine:
        runner = Runner(engine, folder / "ledger", (*watchers, log))
        with runner.noting_bugs():
            for stage in wanted:
                stage.run(stage.plan(Plans(options)), runner)
    return folder / "report.html"


def plan(workflow: Workflow, *, stages: Sequence[str] = ()) -> list[tuple[str, tuple[Cost, ...]]]:
    """The steps of every stage with blocks, bytes, memory and arithmetic; nothing is run."""
    options = filled(workflow)
    plans = Plans(options, foresee=True)
    wanted = (stage for stage in chosen(options, stages) if stage.name != "report")
    return [(stage.name, stage.plan(plans).steps) for stage in wanted]


def chosen(workflow: Workflow, names: Sequence[str]) -> tuple[StageOfRun[Any], ...]:
    """The stages a workflow has, in order, or those of them that are named.

    ConfigError for a name that is no stage, or one that the workflow lacks; only `ingest` may be
    named where the image is there already.
    """
    known = [stage.name for stage in STAGES]
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ConfigError(f"unknown stage {unknown[0]!r}; stages are {', '.join(known)}")
    there = tuple(stage for stage in STAGES if stage.there(workflow))
    absent = sorted(set(names) - {"ingest"} - {stage.name for stage in there})
    if absent:
        raise ConfigError(
            f"the workflow has no stage {absent[0]!r}: its table [{absent[0]}] is missing, or "
            "names nothing to work on"
        )
    return tuple(stage for stage in there if not names or stage.name in names)


def saved(folder: Path) -> Workflow:
    """The options that a run left in its folder; ConfigError if there are none."""
    settings = folder / SETTINGS
    if not settings.exists():
        raise ConfigError(
            f"{folder} is not a run's folder: it has no {SETTINGS}; see `volproc run`"
        )
    return parsed(Workflow, json.loads(settings.read_text()), where=str(settings))


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


def _begun(options: Workflow) -> Path:
    """The run's folder with its options in it, and without half files of a killed run."""
    write_file(own(options, SETTINGS), options.model_dump_json(indent=1).encode())
    folder = Path(own(options, SETTINGS)).parent
    for pattern in LEFT_BY_KILLED:
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
    return folder
