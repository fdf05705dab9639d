"""The command line: words in, words out. Commands call the functions that Python users call.

Those are imported when first used (see `volproc`), so that --help does not wait for torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from rich.table import Table

import volproc
from volproc.config import (
    ClusterOptions,
    EvaluateOptions,
    FetchOptions,
    IngestOptions,
    LabelOptions,
    Options,
    PhantomOptions,
    PredictOptions,
    T,
    from_flags,
    load_workflow,
)
from volproc.engine.progress import TerminalBar
from volproc.errors import ConfigError, VolprocError
from volproc.terminal import TransferBar, costs, describe, fail, out, print_rows, print_transfer

app = typer.Typer(
    help="Volume electron microscopy to labelled objects.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the number of the signal."""


def option(kind: type[Options], key: str, *names: str, **more: Any) -> Any:
    """The flag of an option, with its meaning and default from where those are defined.

    Flags are None unless they are given, so that the environment counts where they are not.
    """
    field = kind.model_fields[key]
    shown = False if field.default in (None, "", (), False) else str(field.default)
    if get_origin(field.annotation) is Literal:
        more["metavar"] = "|".join(map(str, get_args(field.annotation)))
    return typer.Option(*names, help=field.description, show_default=shown, **more)


WorkflowFile = Annotated[
    Path, typer.Argument(metavar="WORKFLOW.toml", help="The options, as TOML.")
]
StagesFlag = Annotated[str, typer.Option("--stages", help="Only these, separated by commas.")]
SetFlag = Annotated[
    list[str] | None,
    typer.Option("--set", help="table.key=value, over what the file says; repeatable."),
]
Triple = tuple[float, float, float]
VoxelFlag = Annotated[Triple | None, option(IngestOptions, "voxel_nm", metavar="Z Y X")]
PatternFlag = Annotated[list[str] | None, option(FetchOptions, "pattern")]
WorkersFlag = Annotated[int | None, option(ClusterOptions, "workers")]
SerialFlag = Annotated[bool, typer.Option("--serial", help="No workers: this process alone.")]


@app.command()
def run(
    file: WorkflowFile, stages: StagesFlag = "", settings: SetFlag = None, quiet: bool = False
) -> None:
    """Run a workflow, or go on where it stopped: ingest, predict, label, evaluate, report."""
    options = load_workflow(file, flags=settings or ())
    if quiet:
        page = volproc.run(options, stages=_listed(stages))
    else:
        with TerminalBar() as bar:
            page = volproc.run(options, stages=_listed(stages), watchers=(bar,))
    if page.exists():
        out.print(f"report: {page.resolve()}")


@app.command()
def plan(file: WorkflowFile, stages: StagesFlag = "", settings: SetFlag = None) -> None:
    """Say what `run` would do and what it would cost, and stop."""
    from volproc.workflow import rates

    options = load_workflow(file, flags=settings or ())
    known = rates(Path(options.run.folder) / "log.jsonl")
    table = Table("stage", "step", "blocks", "read", "written", "peak/worker", "TFLOP", "time")
    for stage, steps in volproc.plan(options, stages=_listed(stages)):
        for step in steps:
            table.add_row(stage, *costs(step, known.get(step.name)))
    out.print(table)
    if not known:
        out.print("times are stated once a run has left its rates in the run's folder")


@app.command()
def phantom(
    url: Annotated[str, typer.Argument(metavar="OUT.zarr")],
    shape: Annotated[tuple[int, int, int], option(PhantomOptions, "shape", metavar="Z Y X")],
    voxel_nm: Annotated[Triple | None, option(PhantomOptions, "voxel_nm", metavar="Z Y X")] = None,
    seed: Annotated[int | None, option(PhantomOptions, "seed")] = None,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Make a HeLa-like volume of any size, with its nuclei as labels/nuclei."""
    options = stated(PhantomOptions, locals())
    with TerminalBar() as bar:
        rows = volproc.phantom(url, options, cluster=_cluster(workers, serial), watchers=(bar,))
    out.print(f"{url}: {len(rows)} nuclei, labelled in {url}/labels/nuclei")


@app.command()
def ingest(
    source: Annotated[
        str, typer.Argument(help="A file, a folder of slices, a URL of either, or EMPIAR-NUMBER.")
    ],
    url: Annotated[str, typer.Argument(metavar="OUT.zarr")],
    voxel_nm: VoxelFlag = None,
    match_slices: Annotated[bool | None, option(IngestOptions, "match_slices")] = None,
    missing: Annotated[str | None, option(IngestOptions, "missing")] = None,
    unequal: Annotated[str | None, option(IngestOptions, "unequal")] = None,
    labels: Annotated[bool | None, option(IngestOptions, "labels")] = None,
    channel: Annotated[int | None, option(IngestOptions, "channel")] = None,
    dtype: Annotated[str | None, option(IngestOptions, "dtype")] = None,
    grey_range: Annotated[
        tuple[float, float] | None, option(IngestOptions, "grey_range", metavar="LOW HIGH")
    ] = None,
    ome_zarr: Annotated[str | None, option(IngestOptions, "ome_zarr")] = None,
    changed: Annotated[str | None, option(IngestOptions, "changed")] = None,
    keep: Annotated[str | None, option(IngestOptions, "keep", metavar="yes|no")] = None,
    pattern: PatternFlag = None,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Turn files into an OME-Zarr volume with its pyramid."""
    options, fetching = stated(IngestOptions, locals()), stated(FetchOptions, locals())
    cluster = _cluster(workers, serial)
    with TerminalBar() as bar:
        made = volproc.ingest(
            source, url, options, fetch=fetching, cluster=cluster, watchers=(bar,)
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
    with TransferBar() as bar:
        came = volproc.run_fetch(plan, watch=bar)
    out.print(f"{len(came)} files are in {folder}")


@app.command()
def check(
    url: Annotated[str, typer.Argument(metavar="VOLUME.zarr")],
    fast: Annotated[bool, typer.Option("--fast", help="Metadata and files only.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Every voxel of every level.")] = False,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Say what is wrong with a volume; exit code 1 if something is."""
    if fast and deep:
        raise ConfigError("--fast and --deep are two checks; choose one, or none for samples")
    depth = "fast" if fast else "deep" if deep else "samples"
    with TerminalBar() as bar:
        found = volproc.check(url, depth=depth, cluster=_cluster(workers, serial), watchers=(bar,))
    for one in found:
        out.print(str(one), markup=False)
    wrong = sum(one.severity == "error" for one in found)
    if wrong:
        raise typer.Exit(1)
    out.print(f"{url}: nothing is wrong" + (", see the warnings" if found else ""))


@app.command()
def predict(
    image: Annotated[str, typer.Argument(metavar="IMAGE.zarr")],
    model: Annotated[str, typer.Argument(help="A model folder, or the name of a shipped model.")],
    url: Annotated[str, typer.Argument(metavar="OUT.zarr")],
    axes: Annotated[str | None, option(PredictOptions, "axes")] = None,
    fusion: Annotated[str | None, option(PredictOptions, "fusion")] = None,
    threshold: Annotated[float | None, option(PredictOptions, "threshold")] = None,
    votes: Annotated[
        str, typer.Option(metavar="VOTES.zarr", help="Also write each axis' probability there.")
    ] = "",
    voxel_nm: VoxelFlag = None,
    device: Annotated[str | None, option(PredictOptions, "device")] = None,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Predict with a model along three axes and fuse their votes."""
    options = stated(PredictOptions, {**locals(), "votes": bool(votes)})
    cluster = _cluster(workers, serial)
    with TerminalBar() as bar:
        made = volproc.predict(
            image, url, options, votes=votes or None, cluster=cluster, watchers=(bar,)
        )
    describe(made)


@app.command()
def label(
    mask: Annotated[str, typer.Argument(metavar="MASK.zarr")],
    url: Annotated[str, typer.Argument(metavar="OBJECTS.zarr")],
    connectivity: Annotated[int | None, option(LabelOptions, "connectivity")] = None,
    threshold: Annotated[float | None, option(LabelOptions, "threshold")] = None,
    min_volume_um3: Annotated[float | None, option(LabelOptions, "min_volume_um3")] = None,
    native: Annotated[
        str, typer.Option(metavar="IMAGE.zarr", help="Also write labels on this image's grid.")
    ] = "",
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Number connected components and list them in a table."""
    options = stated(LabelOptions, {**locals(), "native": bool(native)})
    cluster = _cluster(workers, serial)
    with TerminalBar() as bar:
        result = volproc.label(
            mask, url, options, native=native or None, cluster=cluster, watchers=(bar,)
        )
    kept = f"{result.objects} objects in {url}, listed in {result.table}"
    out.print(f"{kept}; {result.dropped} dropped")


@app.command()
def evaluate(
    result: Annotated[str, typer.Argument(metavar="RESULT.zarr")],
    truth: Annotated[str, typer.Argument(metavar="TRUTH.zarr")],
    json: Annotated[str, typer.Option(metavar="FILE.json", help="Write all scores there.")] = "",
    truth_labels: Annotated[
        str, typer.Option(help="Label values that count, separated by commas; else all but 0.")
    ] = "",
    slices: Annotated[
        tuple[int, int] | None, option(EvaluateOptions, "slices", metavar="FIRST END")
    ] = None,
    threshold: Annotated[float | None, option(EvaluateOptions, "threshold")] = None,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Score a result (a mask, labels, a probability, or votes) against a label volume."""
    values = {**locals(), "truth_labels": _whole_numbers(truth_labels) or None}
    options, cluster = stated(EvaluateOptions, values), _cluster(workers, serial)
    with TerminalBar() as bar:
        scores = volproc.evaluate(result, options, out=json, cluster=cluster, watchers=(bar,))
    print_rows(scores.rows())


@app.command()
def train(file: WorkflowFile, settings: SetFlag = None) -> None:
    """Train a model from the [train] table of a workflow file, or go on training it."""
    options = load_workflow(file, flags=settings or ()).require_train()
    card = volproc.train(options, watch=lambda record: out.print(record))
    out.print(f"model {card.name}: {options.model_out}")


@app.command()
def report(folder: Annotated[Path, typer.Argument(metavar="RUN/")]) -> None:
    """Write a finished run's report again."""
    from volproc.workflow import saved

    page = volproc.run(saved(folder), stages=("report",))
    out.print(f"report: {page.resolve()}")


@app.command()
def version() -> None:
    """The version of volproc."""
    out.print(volproc.__version__)


def main() -> None:
    """Run the command line; any error a user can mend is one line and exit code 2."""
    try:
        app()
    except VolprocError as error:
        fail(str(error), error.exit_code)
    except SystemExit as end:
        if end.code != INTERRUPTED:
            raise
        fail("stopped; finished blocks are kept, the same command goes on from here", INTERRUPTED)


def _cluster(workers: int | None, serial: bool) -> ClusterOptions:
    return stated(ClusterOptions, {"kind": "serial" if serial else None, "workers": workers})


def stated(kind: type[T], values: Mapping[str, Any]) -> T:
    """The options of `kind` among a command's `values` that were given, over the environment."""
    given = {key: values[key] for key in kind.model_fields if values.get(key) is not None}
    return from_flags(kind, kind.__name__.removesuffix("Options").lower(), given)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in _listed(text))
    except ValueError as error:
        raise ConfigError(
            f"--truth-labels needs whole numbers separated by commas, got {text!r}"
        ) from error
