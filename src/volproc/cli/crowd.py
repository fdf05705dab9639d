"""Volunteers: subjects for them, labels from their drawings, and a simulated crowd."""

from __future__ import annotations

from typing import Annotated

import typer

import volproc
from volproc.cli.app import (
    SerialFlag,
    WorkersFlag,
    app,
    cluster_of,
    option,
    stated,
)
from volproc.config import (
    AnnotateOptions,
    CrowdOptions,
    SubjectsOptions,
)
from volproc.engine.progress import TerminalBar
from volproc.terminal import describe, out


@app.command()
def subjects(
    image: Annotated[str, typer.Argument(metavar="IMAGE.zarr")],
    folder: Annotated[str, typer.Argument(metavar="OUT/")],
    roi: Annotated[
        tuple[int, int, int] | None, option(SubjectsOptions, "roi", metavar="Z Y X")
    ] = None,
    frames: Annotated[int | None, option(SubjectsOptions, "frames")] = None,
    every: Annotated[int | None, option(SubjectsOptions, "every")] = None,
    format: Annotated[str | None, option(SubjectsOptions, "format")] = None,
    scale: Annotated[float | None, option(SubjectsOptions, "scale")] = None,
    attribution: Annotated[str | None, option(SubjectsOptions, "attribution")] = None,
    upload: Annotated[
        int, typer.Option(metavar="PROJECT", help="Also upload them to this Zooniverse project.")
    ] = 0,
    subject_set: Annotated[
        str, typer.Option("--set", metavar="NAME", help="Name of the new subject set.")
    ] = "volproc",
    endpoint: Annotated[
        str, typer.Option(metavar="URL", help="Another address of the Panoptes API.")
    ] = "",
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Cut slices for volunteers, with the manifest.csv of a Zooniverse subject set."""
    options, cluster = stated(SubjectsOptions, locals()), cluster_of(workers, serial)
    with TerminalBar() as bar:
        manifest = volproc.subjects(image, folder, options, cluster=cluster, watchers=(bar,))
        out.print(f"subjects: {manifest}")
        if upload:
            sent = volproc.upload_subjects(
                manifest,
                project=upload,
                subject_set=subject_set,
                endpoint=endpoint,
                watchers=(bar,),
            )
            out.print(f"{sent.subjects} subjects are in subject set {sent.subject_set}")


@app.command()
def annotate(
    export: Annotated[str, typer.Argument(metavar="CLASSIFICATIONS.csv")],
    image: Annotated[str, typer.Argument(metavar="IMAGE.zarr")],
    url: Annotated[str, typer.Argument(metavar="LABELS.zarr")],
    method: Annotated[str | None, option(AnnotateOptions, "method")] = None,
    manifest: Annotated[str | None, option(AnnotateOptions, "manifest")] = None,
    workflow: Annotated[list[int] | None, option(AnnotateOptions, "workflow")] = None,
    frame_pattern: Annotated[str | None, option(AnnotateOptions, "frame_pattern")] = None,
    envelope_nm: Annotated[float | None, option(AnnotateOptions, "envelope_nm")] = None,
    along_z: Annotated[bool | None, option(AnnotateOptions, "along_z")] = None,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Turn volunteers' drawings into labels, with a page that says how good they are."""
    options, cluster = stated(AnnotateOptions, locals()), cluster_of(workers, serial)
    with TerminalBar() as bar:
        made = volproc.annotate(export, image, url, options, cluster=cluster, watchers=(bar,))
    found = made.gathered.summary
    describe(made.volumes[0])
    out.print(
        f"{found.rows} rows, {found.votes} votes on {found.slices} slices by {found.volunteers} "
        f"volunteers; {sum(found.rejected.values())} rejected, listed in {made.rejected}"
    )
    out.print(f"quality: {made.page}")


@app.command()
def crowd(
    truth: Annotated[str, typer.Argument(metavar="TRUTH.zarr")],
    export: Annotated[str, typer.Argument(metavar="OUT.csv")],
    volunteers: Annotated[int | None, option(CrowdOptions, "volunteers")] = None,
    crowd: Annotated[str | None, option(CrowdOptions, "crowd")] = None,
    classifier: Annotated[int | None, option(CrowdOptions, "classifier")] = None,
    seed: Annotated[int | None, option(CrowdOptions, "seed")] = None,
    slices: Annotated[
        tuple[int, int] | None, option(CrowdOptions, "slices", metavar="FIRST END")
    ] = None,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Simulate volunteers who draw the objects of a label volume, as a Zooniverse export."""
    options, cluster = stated(CrowdOptions, locals()), cluster_of(workers, serial)
    with TerminalBar() as bar:
        drawn = volproc.crowd(truth, export, options, cluster=cluster, watchers=(bar,))
    out.print(
        f"{drawn.url}: {drawn.classifications} classifications, {drawn.absent} of them absent, "
        f"{drawn.strokes} strokes"
    )
