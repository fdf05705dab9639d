"""Whole workflows: run, plan, status, report; and the version."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

import volproc
from volproc.cli.app import (
    BoxFlag,
    RedoFlag,
    SetFlag,
    StagesFlag,
    WorkflowFile,
    app,
    listed,
)
from volproc.config.times import length_of, moment_of
from volproc.engine.events import Note
from volproc.progress_bars import progress
from volproc.terminal import (
    costs,
    out,
    show,
)
from volproc.workflow.preview import preview_of, said_of
from volproc.workflow.registry import registered
from volproc.workflow.speeds import GPU_FLOPS
from volproc.workflow.workflow_file import Workflow, load_workflow

PreviewFlag = Annotated[
    bool,
    typer.Option(
        "--preview",
        help="A quick look, in a folder of its own beside [run] folder: with nuclei-100nm in place "
        "of nuclei-50nm.",
    ),
]
RunFolder = Annotated[str, typer.Argument(metavar="RUN/", help="Its folder, or the URL of it.")]
IN_RUN = ", ".join(stage.name for stage in registered().values() if stage.in_run != "never")


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(volproc.__version__)
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Volume electron microscopy to labelled objects."""


@app.command(
    help="Run a workflow, or go on where it stopped: the stages of its tables, in order.\n\n"
    f"{IN_RUN}.\n\nWhat is done and unchanged is left alone; what is remade is said before, "
    "with the reason."
)
def run(
    file: WorkflowFile,
    stages: StagesFlag = "",
    redo: RedoFlag = "",
    box: BoxFlag = "",
    until: Annotated[
        str,
        typer.Option(
            help="Begin no blocks from then on, finish those at work and end with exit code 75: "
            "08:00, 2026-12-01T08:00, 2h, 90min.",
            metavar="TIME",
        ),
    ] = "",
    preview: PreviewFlag = False,
    settings: SetFlag = None,
    quiet: bool = False,
) -> None:
    """Run a workflow, or go on where it stopped."""
    from volproc import workflow

    end = moment_of(until, now=datetime.now(), flag="--until") if until else None
    options = loaded(file, flags_of(settings, box), preview=preview)
    with nullcontext() if quiet else progress() as watch:
        watchers = (watch,) if watch else ()
        if watch and preview:
            watch(Note(said_of(options)))
        workflow.run(
            options, stages=listed(stages), redo=listed(redo), watchers=watchers, until=end
        )
    for line in workflow.found(options):
        show(f"preview: {line}" if preview else line)


def loaded(file: Path, flags: list[str], *, preview: bool) -> Workflow:
    """The options of a workflow file, or of its preview."""
    options = load_workflow(file, flags=flags)
    return preview_of(options) if preview else options


@app.command()
def plan(
    file: WorkflowFile,
    stages: StagesFlag = "",
    box: BoxFlag = "",
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Hours and money on the workers of [cluster].")
    ] = False,
    deadline: Annotated[
        str,
        typer.Option(
            help="With --cluster: the cheapest numbers of jobs that take no longer, e.g. 8h.",
            metavar="LENGTH",
        ),
    ] = "",
    gpu_tflops: Annotated[
        float,
        typer.Option(min=0.001, help="With --cluster: TFLOP/s of a GPU, where none was measured."),
    ] = GPU_FLOPS / 1e12,
    preview: PreviewFlag = False,
    settings: SetFlag = None,
) -> None:
    """Say what `run` would do and what it would cost, and stop."""
    options = loaded(file, flags_of(settings, box), preview=preview)
    if preview:
        show(said_of(options))
    if cluster or deadline:
        within = length_of(deadline, flag="--deadline") if deadline else None
        _tell_cost(options, listed(stages), within, gpu_flops=gpu_tflops * 1e12)
        return
    from volproc.workflow import rates

    known = rates(options.run.folder)
    columns = ("blocks", "left", "read", "written", "peak/worker", "TFLOP", "time")
    table = Table("stage", "step", *columns)
    planned = volproc.plan(options, stages=listed(stages))
    for stage, steps in planned:
        for step in steps:
            rate = known.get(step.name)
            pace = rate.voxels_in(step.precision) if rate else None
            table.add_row(stage, *costs(step, pace))
    show(table)
    for note in chain.from_iterable(step.notes for _, steps in planned for step in steps):
        show(note)
    if not known and not any(step.rate for _, steps in planned for step in steps):
        show("times are stated once a run has left its rates in the run's folder")


def _tell_cost(
    options: Workflow, stages: tuple[str, ...], deadline: timedelta | None, *, gpu_flops: float
) -> None:
    """What the steps that are left cost on the workers of [cluster]."""
    from volproc.cli.cluster_costs import told
    from volproc.workflow.cluster_plan import cluster_plan

    planned = volproc.plan(options, stages=stages)
    for said in told(cluster_plan(options, planned, gpu_flops=gpu_flops), deadline, gpu_flops):
        show(said)


def flags_of(settings: list[str] | None, box: str) -> list[str]:
    """What --set and --box say, as table.key=value."""
    return [*(settings or ()), *([f'run.box="{box}"'] if box else [])]


@app.command()
def status(folder: RunFolder) -> None:
    """Say what of a run is done, stale, begun or missing, and in the queue; nothing is written."""
    from volproc.workflow import running
    from volproc.workflow.queued import in_queue, is_begun

    queued = in_queue(folder)
    if not queued or is_begun(folder):
        who = running(folder)  # at the same moment: looking at all stages takes a while
        table = Table("stage", "state", "")
        for one in volproc.status(folder):
            table.add_row(one.name, one.state, one.detail)
        show(table)
        show(f"at work: {who}" if who else "nobody is at work on it")
    for line in queued:
        show(line)


@app.command()
def report(
    folders: Annotated[
        list[str], typer.Argument(metavar="RUN/ ...", help="Their folders, or the URLs of them.")
    ],
    out: Annotated[
        str, typer.Option(metavar="PAGE.html", help="Of several runs: where their page goes.")
    ] = "runs.html",
    title: Annotated[str, typer.Option(help="Of several runs: the heading.")] = "",
) -> None:
    """Write a run's report again; of several runs also one page of all."""
    from volproc import workflow

    for page in workflow.report(folders, out=out, title=title):
        show(f"report: {page if isinstance(page, str) else page.resolve()}")


@app.command()
def version() -> None:
    """The version of volproc."""
    out.print(volproc.__version__)
