"""Volunteers: subjects for them, labels from their drawings, and a simulated crowd."""

from __future__ import annotations

from typing import Annotated

import typer

import volproc
from volproc.cli.app import (
    OverwriteFlag,
    SerialFlag,
    Triple,
    TruthLabelsFlag,
    WorkersFlag,
    app,
    cluster_of,
    option,
    stated,
    whole_numbers,
)
from volproc.cli.progress import progress
from volproc.stages.annotate.options import AnnotateOptions
from volproc.stages.crowd.options import CrowdOptions
from volproc.stages.subjects.options import SubjectsOptions
from volproc.terminal import describe, out, print_annotated


@app.command()
def subjects(
    image: Annotated[str, typer.Argument(metavar="IMAGE.zarr")],
    folder: Annotated[str, typer.Argument(metavar="OUT/")],
    roi: Annotated[
        tuple[int, int, int] | None, option(SubjectsOptions, "roi", metavar="Z Y X")
    ] = None,
    rois_file: Annotated[
        str | None, option(SubjectsOptions, "rois_file", "--rois", metavar="FILE.csv")
    ] = None,
    rois_first: Annotated[
        int | None, option(SubjectsOptions, "rois_first", "--first", metavar="N")
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
    overwrite: OverwriteFlag = False,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Cut slices for volunteers, with the manifest.csv of a Zooniverse subject set."""
    from volproc.stages.subjects.panoptes import require_account

    options, cluster = stated(SubjectsOptions, locals()), cluster_of(workers, serial)
    if upload:
        require_account()
    with progress() as watch:
        manifest = volproc.subjects(
            image, folder, options, overwrite=overwrite, cluster=cluster, watchers=(watch,)
        )
        out.print(f"subjects: {manifest}")
        if upload:
            sent = volproc.upload_subjects(
                manifest,
                project=upload,
                subject_set=subject_set,
                endpoint=endpoint,
                watchers=(watch,),
            )
            out.print(f"{sent.subjects} subjects are in subject set {sent.subject_set}")


@app.command()
def annotate(
    export: Annotated[str, typer.Argument(metavar="CLASSIFICATIONS.csv")],
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE.zarr",
            help="What they drew on; the word none where it is not at hand: then regions are laid "
            "out one after the other along z.",
        ),
    ],
    url: Annotated[str, typer.Argument(metavar="LABELS.zarr")],
    method: Annotated[str | None, option(AnnotateOptions, "method")] = None,
    manifest: Annotated[str | None, option(AnnotateOptions, "manifest")] = None,
    workflow: Annotated[list[int] | None, option(AnnotateOptions, "workflow")] = None,
    workflow_version: Annotated[
        list[str] | None, option(AnnotateOptions, "workflow_version")
    ] = None,
    task: Annotated[list[str] | None, option(AnnotateOptions, "task")] = None,
    tool: Annotated[list[int] | None, option(AnnotateOptions, "tool")] = None,
    bezier_tools: Annotated[list[int] | None, option(AnnotateOptions, "bezier_tools")] = None,
    frames: Annotated[str | None, option(AnnotateOptions, "frames")] = None,
    rois: Annotated[list[str] | None, option(AnnotateOptions, "rois")] = None,
    subject_name: Annotated[str | None, option(AnnotateOptions, "subject_name")] = None,
    frame_name: Annotated[str | None, option(AnnotateOptions, "frame_name")] = None,
    frame_pattern: Annotated[str | None, option(AnnotateOptions, "frame_pattern")] = None,
    first_slice: Annotated[int | None, option(AnnotateOptions, "first_slice")] = None,
    voxel_nm: Annotated[Triple | None, option(AnnotateOptions, "voxel_nm", metavar="Z Y X")] = None,
    duplicates: Annotated[str | None, option(AnnotateOptions, "duplicates")] = None,
    close_nm: Annotated[float | None, option(AnnotateOptions, "close_nm")] = None,
    skills: Annotated[bool | None, option(AnnotateOptions, "skills")] = None,
    along_z: Annotated[bool | None, option(AnnotateOptions, "along_z")] = None,
    envelope_nm: Annotated[float | None, option(AnnotateOptions, "envelope_nm")] = None,
    fewest_votes: Annotated[int | None, option(AnnotateOptions, "fewest_votes")] = None,
    truth: Annotated[str | None, option(AnnotateOptions, "truth", metavar="TRUTH.zarr")] = None,
    truth_labels: TruthLabelsFlag = "",
    compare: Annotated[bool | None, option(AnnotateOptions, "compare")] = None,
    levels: Annotated[bool | None, option(AnnotateOptions, "levels")] = None,
    block_slices: Annotated[int | None, option(AnnotateOptions, "block_slices")] = None,
    overwrite: OverwriteFlag = False,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Turn volunteers' drawings into labels, with a page that says how good they are."""
    given = {**locals(), "truth_labels": whole_numbers("--truth-labels", truth_labels)}
    options, cluster = stated(AnnotateOptions, given), cluster_of(workers, serial)
    seen = None if image.lower() == "none" else image
    with progress() as watch:
        made = volproc.annotate(
            export, seen, url, options, overwrite=overwrite, cluster=cluster, watchers=(watch,)
        )
    describe(made.volumes[0])
    print_annotated(made)


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
    labels: Annotated[
        str, typer.Option(help="Label values to draw, separated by commas; else all but 0.")
    ] = "",
    scale: Annotated[float | None, option(CrowdOptions, "scale")] = None,
    overwrite: OverwriteFlag = False,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Simulate volunteers who draw the objects of a label volume, as a Zooniverse export."""
    given = {**locals(), "labels": whole_numbers("--labels", labels)}
    options, cluster = stated(CrowdOptions, given), cluster_of(workers, serial)
    with progress() as watch:
        drawn = volproc.crowd(
            truth, export, options, overwrite=overwrite, cluster=cluster, watchers=(watch,)
        )
    out.print(
        f"{drawn.url}: {drawn.classifications} classifications, {drawn.absent} of them absent, "
        f"{drawn.strokes} strokes"
    )
