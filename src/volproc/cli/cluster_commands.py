"""Runs in a batch system: submit, cancel, and a check of the cluster."""

from __future__ import annotations

import os

import typer

from volproc.cli.app import BoxFlag, RedoFlag, SetFlag, StagesFlag, WorkflowFile, app, listed
from volproc.cli.workflow_commands import PreviewFlag, RunFolder, flags_of, loaded
from volproc.terminal import show
from volproc.workflow.preview import said_of
from volproc.workflow.workflow_file import load_workflow

cluster = typer.Typer(help="Look at the cluster of a workflow.", no_args_is_help=True)
app.add_typer(cluster, name="cluster")


@app.command()
def submit(
    file: WorkflowFile,
    stages: StagesFlag = "",
    redo: RedoFlag = "",
    box: BoxFlag = "",
    preview: PreviewFlag = False,
    settings: SetFlag = None,
) -> None:
    """Run a workflow in a job of the batch system, which submits the jobs of its workers."""
    from volproc.workflow import queued

    options = loaded(file, flags_of(settings, box), preview=preview)
    if preview:
        show(said_of(options))
    given = [*(["--stages", ",".join(listed(stages))] if stages else [])]
    given += ["--redo", ",".join(listed(redo))] if redo else []
    given += ["--preview"] if preview else []
    for one in flags_of(settings, box):
        given += ["--set", one]
    number = queued.submit(options, [os.path.abspath(file), *given])
    show(f"job {number} runs it; see `volproc status {options.run.folder}`")


@app.command()
def cancel(folder: RunFolder) -> None:
    """End a run at work, with all its jobs; finished blocks are kept."""
    from volproc.workflow import queued

    said = 0
    for line in queued.cancel(folder):
        said += 1
        show(line)
    if not said:
        show("nobody is at work on it, and no job is in the queue")


@cluster.command()
def check(file: WorkflowFile, settings: SetFlag = None) -> None:
    """Send one small job per pool, and say what it finds; exit code 1 if something is wrong."""
    from volproc.workflow import queued

    wrong = False
    for finding in queued.check(load_workflow(file, flags=settings or ())):
        wrong = wrong or finding.wrong
        show(str(finding))
    if wrong:
        raise typer.Exit(1)
