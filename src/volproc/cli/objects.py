"""What follows labels and envelopes: interior, measure."""

from __future__ import annotations

from typing import Annotated

import typer

import volproc
from volproc.cli.app import (
    OverwriteFlag,
    SerialFlag,
    WorkersFlag,
    app,
    cluster_of,
    option,
    stated,
)
from volproc.cli.progress import progress
from volproc.stages.interior.options import InteriorOptions
from volproc.stages.measure.options import MeasureOptions
from volproc.terminal import describe, out


@app.command()
def interior(
    envelope: Annotated[str, typer.Argument(metavar="ENVELOPE.zarr")],
    url: Annotated[str, typer.Argument(metavar="NUCLEI.zarr")],
    threshold: Annotated[float | None, option(InteriorOptions, "threshold")] = None,
    gap_nm: Annotated[float | None, option(InteriorOptions, "gap_nm")] = None,
    reach_nm: Annotated[float | None, option(InteriorOptions, "reach_nm")] = None,
    volume: Annotated[bool | None, option(InteriorOptions, "volume")] = None,
    axes: Annotated[str | None, option(InteriorOptions, "axes")] = None,
    votes: Annotated[int | None, option(InteriorOptions, "votes")] = None,
    open_share: Annotated[float | None, option(InteriorOptions, "open_share")] = None,
    max_volume_um3: Annotated[float | None, option(InteriorOptions, "max_volume_um3")] = None,
    min_volume_um3: Annotated[float | None, option(InteriorOptions, "min_volume_um3")] = None,
    envelope_nm: Annotated[float | None, option(InteriorOptions, "envelope_nm")] = None,
    overwrite: OverwriteFlag = False,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Fill what an envelope encloses: numbered nuclei, each with its envelope."""
    options, cluster = stated(InteriorOptions, locals()), cluster_of(workers, serial)
    with progress() as watch:
        made = volproc.interior(
            envelope, url, options, overwrite=overwrite, cluster=cluster, watchers=(watch,)
        )
    describe(made)


@app.command()
def measure(
    labels: Annotated[str, typer.Argument(metavar="OBJECTS.zarr")],
    folder: Annotated[str, typer.Argument(metavar="OUT/")],
    image: Annotated[
        str, typer.Option(metavar="IMAGE.zarr", help="Also the mean intensity of each object.")
    ] = "",
    votes: Annotated[
        str, typer.Option(metavar="VOTES.zarr", help="Also how far the axes agree on each object.")
    ] = "",
    meshes: Annotated[str | None, option(MeasureOptions, "meshes")] = None,
    mesh_error_nm: Annotated[float | None, option(MeasureOptions, "mesh_error_nm")] = None,
    mesh_voxel_nm: Annotated[float | None, option(MeasureOptions, "mesh_voxel_nm")] = None,
    mesh_ids: Annotated[list[int] | None, option(MeasureOptions, "mesh_ids")] = None,
    smooth_nm: Annotated[float | None, option(MeasureOptions, "smooth_nm")] = None,
    closed: Annotated[bool | None, option(MeasureOptions, "closed")] = None,
    threshold: Annotated[float | None, option(MeasureOptions, "threshold")] = None,
    parquet: Annotated[bool | None, option(MeasureOptions, "parquet")] = None,
    properties: Annotated[bool | None, option(MeasureOptions, "properties")] = None,
    overwrite: OverwriteFlag = False,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Measure labelled objects: a table of volumes, surfaces and shapes, and their meshes."""
    options, cluster = stated(MeasureOptions, locals()), cluster_of(workers, serial)
    others = {"image": image or None, "votes": votes or None}
    with progress() as watch:
        made = volproc.measure(
            labels,
            folder,
            options,
            **others,
            overwrite=overwrite,
            cluster=cluster,
            watchers=(watch,),
        )
    kept = f"; meshes in {made.meshes}" if made.meshes else ""
    out.print(f"{made.objects} objects, listed in {made.table}{kept}")
    if made.why:
        out.print(made.why, markup=False)
