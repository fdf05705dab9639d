"""Commands that are no stage: fetch, upload, check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import volproc
from volproc.cli.app import SerialFlag, WorkersFlag, app, flag, values_of
from volproc.config.cluster import ClusterOptions
from volproc.config.loading import from_flags
from volproc.errors import ConfigError
from volproc.progress_bars import progress, transfer_progress
from volproc.stages.ingest.options import FetchOptions
from volproc.terminal import out, print_transfer, show

if TYPE_CHECKING:
    from volproc.stages.check.stage import Depth


@app.command()
def fetch(
    entry: Annotated[str, typer.Argument(metavar="EMPIAR-NUMBER")],
    folder: Annotated[str, typer.Argument(metavar="FOLDER")],
    pattern: flag(FetchOptions, "pattern", "[fetch]") = None,  # type: ignore[valid-type]
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how much it is and how long it takes, and stop.")
    ] = False,
    connections: flag(FetchOptions, "connections", "[fetch]") = None,  # type: ignore[valid-type]
) -> None:
    """Download the files of an EMPIAR entry, or resume a download."""
    given = values_of(FetchOptions, {"pattern": pattern, "connections": connections})
    options = from_flags(FetchOptions, "fetch", given)
    plan = volproc.plan_fetch(entry, folder, options, exact=not dry_run)
    print_transfer(plan)
    if dry_run:
        return
    with transfer_progress() as watch:
        came = volproc.run_fetch(plan, watch=watch)
    out.print(f"{len(came)} files are in {folder}")


@app.command()
def upload(
    manifest: Annotated[str, typer.Argument(metavar="manifest.csv")],
    project: Annotated[int, typer.Argument(metavar="PROJECT", help="Number of the project.")],
    subject_set: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the new subject set.")
    ] = "volproc",
    endpoint: Annotated[
        str, typer.Option(metavar="URL", help="Another address of the Panoptes API.")
    ] = "",
) -> None:
    """Upload the subjects of a manifest to Zooniverse, or resume an upload."""
    from volproc.stages.subjects.panoptes import require_account

    require_account()
    with progress() as watch:
        sent = volproc.upload_subjects(
            manifest, project=project, subject_set=subject_set, endpoint=endpoint, watchers=(watch,)
        )
    out.print(f"{sent.subjects} subjects are in subject set {sent.subject_set}")


@app.command()
def check(
    url: Annotated[str, typer.Argument(metavar="VOLUME.zarr")],
    fast: Annotated[bool, typer.Option("--fast", help="Metadata and files only.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Every voxel of every level.")] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Remove damaged files, so that the next run makes them again."
        ),
    ] = False,
    ask_ome_zarr: Annotated[
        bool,
        typer.Option("--ask-ome-zarr", help="Also ask the package ome-zarr for its opinion."),
    ] = False,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Say what is wrong with a volume; exit code 1 if something is."""
    if fast and deep:
        raise ConfigError("--fast and --deep are two checks; choose one, or none for samples")
    depth: Depth = "fast" if fast else "deep" if deep else "samples"
    given = {"kind": "serial" if serial else None, "workers": workers}
    cluster = from_flags(ClusterOptions, "cluster", values_of(ClusterOptions, given))
    with progress() as watch:
        found = volproc.check(
            url,
            depth=depth,
            repair=repair,
            ask_ome_zarr=ask_ome_zarr,
            cluster=cluster,
            watchers=(watch,),
        )
    for one in found:
        show(str(one))
    if repair and any(one.file for one in found):
        out.print("damaged files are removed: the same command, or run, again makes them anew")
    wrong = sum(one.severity == "error" for one in found)
    if wrong:
        raise typer.Exit(1)
    out.print(f"{url}: nothing is wrong" + (", see the warnings" if found else ""))
