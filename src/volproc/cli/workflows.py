"""Whole workflows: run, plan, report."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

import volproc
from volproc.cli.app import (
    BoxFlag,
    SetFlag,
    StagesFlag,
    WorkflowFile,
    app,
    listed,
)
from volproc.cli.progress import progress
from volproc.config import (
    load_workflow,
)
from volproc.terminal import costs, out


@app.command()
def run(
    file: WorkflowFile,
    stages: StagesFlag = "",
    redo: Annotated[
        str, typer.Option(help="Make these stages anew, separated by commas.", metavar="STAGES")
    ] = "",
    box: BoxFlag = None,
    settings: SetFlag = None,
    quiet: bool = False,
) -> None:
    """Run a workflow, or go on where it stopped: the stages of its tables, in order.

    ingest, filter, subjects, crowd, annotate, train, predict, interior, label, measure, evaluate,
    report.
    What is done and unchanged is left alone; what is made anew is said before, with the reason.
    """
    from volproc.workflow import found

    options = load_workflow(file, flags=_flags(settings, box))
    if quiet:
        volproc.run(options, stages=listed(stages), redo=listed(redo))
    else:
        with progress() as watch:
            volproc.run(options, stages=listed(stages), redo=listed(redo), watchers=(watch,))
    for line in found(options):
        out.print(line, markup=False)


@app.command()
def plan(
    file: WorkflowFile,
    stages: StagesFlag = "",
    box: BoxFlag = None,
    settings: SetFlag = None,
) -> None:
    """Say what `run` would do and what it would cost, and stop."""
    from volproc.workflow import rates

    options = load_workflow(file, flags=_flags(settings, box))
    known = rates(Path(options.run.folder) / "log.jsonl")
    columns = ("blocks", "left", "read", "written", "peak/worker", "TFLOP", "time")
    table = Table("stage", "step", *columns)
    planned = volproc.plan(options, stages=listed(stages))
    for stage, steps in planned:
        for step in steps:
            table.add_row(stage, *costs(step, known.get(step.name)))
    out.print(table)
    for note in chain.from_iterable(step.notes for _, steps in planned for step in steps):
        out.print(note, markup=False)
    if not known:
        out.print("times are stated once a run has left its rates in the run's folder")


def _flags(settings: list[str] | None, box: str | None) -> list[str]:
    """What --set and --box say, as table.key=value."""
    return [*(settings or ()), *([f'run.box="{box}"'] if box is not None else [])]


@app.command()
def report(folder: Annotated[Path, typer.Argument(metavar="RUN/")]) -> None:
    """Write a finished run's report again."""
    from volproc.workflow import saved

    page = volproc.run(saved(folder), stages=("report",))
    out.print(f"report: {page.resolve()}")


@app.command()
def status(folder: Annotated[Path, typer.Argument(metavar="RUN/")]) -> None:
    """Say what of a run is done, stale, begun or missing; nothing is written."""
    from volproc.workflow import running

    table = Table("stage", "state", "")
    for one in volproc.status(folder):
        table.add_row(one.name, one.state, one.detail)
    out.print(table)
    who = running(folder)
    out.print(f"at work: {who}" if who else "nobody is at work on it", markup=False)


@app.command()
def version() -> None:
    """The version of volproc."""
    out.print(volproc.__version__)
