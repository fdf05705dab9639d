"""Volumes in and out: ingest, fetch, filter, check, phantom."""

from __future__ import annotations

from typing import Annotated

import typer

import volproc
from volproc.cli.app import (
    OverwriteFlag,
    PatternFlag,
    SerialFlag,
    Triple,
    VoxelFlag,
    WorkersFlag,
    app,
    cluster_of,
    option,
    stated,
)
from volproc.cli.progress import progress, transfer_progress
from volproc.config import (
    FetchOptions,
    FilterOptions,
    IngestOptions,
    PhantomOptions,
)
from volproc.errors import ConfigError
from volproc.terminal import describe, out, print_transfer


@app.command()
def ingest(
    source: Annotated[
        str, typer.Argument(help="A file, a folder of slices, a URL of either, or EMPIAR-NUMBER.")
    ],
    url: Annotated[str, typer.Argument(metavar="OUT.zarr")],
    voxel_nm: VoxelFlag = None,
    box: Annotated[str | None, option(IngestOptions, "box")] = None,
    match_slices: Annotated[bool | None, option(IngestOptions, "match_slices")] = None,
    missing: Annotated[str | None, option(IngestOptions, "missing")] = None,
    unequal: Annotated[str | None, option(IngestOptions, "unequal")] = None,
    times: Annotated[str | None, option(IngestOptions, "times")] = None,
    nan: Annotated[float | None, option(IngestOptions, "nan", metavar="VALUE")] = None,
    labels: Annotated[bool | None, option(IngestOptions, "labels")] = None,
    channel: Annotated[int | None, option(IngestOptions, "channel")] = None,
    axes: Annotated[str | None, option(IngestOptions, "axes")] = None,
    dtype: Annotated[str | None, option(IngestOptions, "dtype")] = None,
    grey_range: Annotated[
        tuple[float, float] | None, option(IngestOptions, "grey_range", metavar="LOW HIGH")
    ] = None,
    ome_zarr: Annotated[str | None, option(IngestOptions, "ome_zarr")] = None,
    changed: Annotated[str | None, option(IngestOptions, "changed")] = None,
    keep: Annotated[str | None, option(IngestOptions, "keep", metavar="yes|no")] = None,
    pattern: PatternFlag = None,
    overwrite: OverwriteFlag = False,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Turn files into an OME-Zarr volume with its pyramid."""
    options, fetching = stated(IngestOptions, locals()), stated(FetchOptions, locals())
    cluster = cluster_of(workers, serial)
    with progress() as watch:
        made = volproc.ingest(
            source,
            url,
            options,
            fetch=fetching,
            overwrite=overwrite,
            cluster=cluster,
            watchers=(watch,),
        )
    describe(made)


@app.command()
def fetch(
    entry: Annotated[str, typer.Argument(metavar="EMPIAR-NUMBER")],
    folder: Annotated[str, typer.Argument(metavar="FOLDER")],
    pattern: PatternFlag = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how much it is and how long it takes, and stop.")
    ] = False,
    connections: Annotated[int | None, option(FetchOptions, "connections")] = None,
) -> None:
    """Bring the files of an EMPIAR entry, or go on where it stopped."""
    values = {"pattern": pattern, "connections": connections}
    plan = volproc.plan_fetch(entry, folder, stated(FetchOptions, values), exact=not dry_run)
    print_transfer(plan)
    if dry_run:
        return
    with transfer_progress() as watch:
        came = volproc.run_fetch(plan, watch=watch)
    out.print(f"{len(came)} files are in {folder}")


@app.command()
def filter(
    image: Annotated[str, typer.Argument(metavar="IMAGE.zarr")],
    url: Annotated[str, typer.Argument(metavar="OUT.zarr")],
    steps: Annotated[list[str] | None, option(FilterOptions, "steps", "--step")] = None,
    box: Annotated[str | None, option(FilterOptions, "box")] = None,
    voxel_nm: VoxelFlag = None,
    overwrite: OverwriteFlag = False,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Filter an image's grey values before a network sees them: median, gaussian, and so on."""
    options, cluster = stated(FilterOptions, locals()), cluster_of(workers, serial)
    with progress() as watch:
        made = volproc.filter(
            image, url, options, overwrite=overwrite, cluster=cluster, watchers=(watch,)
        )
    describe(made)


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
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Say what is wrong with a volume; exit code 1 if something is."""
    if fast and deep:
        raise ConfigError("--fast and --deep are two checks; choose one, or none for samples")
    depth = "fast" if fast else "deep" if deep else "samples"
    with progress() as watch:
        found = volproc.check(
            url, depth=depth, repair=repair, cluster=cluster_of(workers, serial), watchers=(watch,)
        )
    for one in found:
        out.print(str(one), markup=False)
    if repair and any(one.file for one in found):
        out.print("damaged files are removed: the same command, or run, again makes them anew")
    wrong = sum(one.severity == "error" for one in found)
    if wrong:
        raise typer.Exit(1)
    out.print(f"{url}: nothing is wrong" + (", see the warnings" if found else ""))


@app.command()
def phantom(
    url: Annotated[str, typer.Argument(metavar="OUT.zarr")],
    shape: Annotated[tuple[int, int, int], option(PhantomOptions, "shape", metavar="Z Y X")],
    voxel_nm: Annotated[Triple | None, option(PhantomOptions, "voxel_nm", metavar="Z Y X")] = None,
    seed: Annotated[int | None, option(PhantomOptions, "seed")] = None,
    overwrite: OverwriteFlag = False,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Make a HeLa-like volume of any size, with its nuclei as labels/nuclei."""
    options = stated(PhantomOptions, locals())
    with progress() as watch:
        rows = volproc.phantom(
            url,
            options,
            overwrite=overwrite,
            cluster=cluster_of(workers, serial),
            watchers=(watch,),
        )
    out.print(f"{url}: {len(rows)} nuclei, labelled in {url}/labels/nuclei")
