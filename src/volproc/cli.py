"""The command line: words in, words out. Commands call the functions that Python users call."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from volproc import __version__, workflow
from volproc.config import (
    ClusterOptions,
    EvaluateOptions,
    IngestOptions,
    LabelOptions,
    Options,
    PhantomOptions,
    PredictOptions,
    TrainOptions,
    check,
    load_workflow,
)
from volproc.engine.memory import human
from volproc.engine.progress import JsonLines, TerminalBar
from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.errors import ConfigError, VolprocError
from volproc.volume.store import Volume, open_volume

app = typer.Typer(
    help="Volume electron microscopy to labelled objects.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
out = Console(soft_wrap=True, highlight=False)
INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the number of the signal."""

WorkflowFile = Annotated[
    Path, typer.Argument(metavar="WORKFLOW.toml", help="The options, as TOML.")
]
StagesFlag = Annotated[str, typer.Option("--stages", help="Only these, separated by commas.")]
SetFlag = Annotated[
    list[str] | None,
    typer.Option("--set", help="table.key=value, over what the file says; repeatable."),
]
VoxelFlag = Annotated[
    tuple[float, float, float] | None,
    typer.Option("--voxel-nm", metavar="Z Y X", help="Voxel size in nm, where the data lack it."),
]
WorkersFlag = Annotated[int, typer.Option("--workers", help="Worker processes; 0 is one per core.")]
ThresholdFlag = Annotated[
    float, typer.Option("--threshold", help="Probability from which a voxel is foreground.")
]
SerialFlag = Annotated[bool, typer.Option("--serial", help="No workers: this process alone.")]


@app.command()
def run(
    file: WorkflowFile, stages: StagesFlag = "", settings: SetFlag = None, quiet: bool = False
) -> None:
    """Run a workflow, or go on where it stopped: ingest, predict, label, evaluate, report."""
    options = load_workflow(file, flags=settings or ())
    with _bars(quiet) as watchers:
        report = workflow.run(options, stages=_listed(stages), watchers=watchers)
    if report.exists():
        out.print(f"report: {report.resolve()}")


@app.command()
def plan(file: WorkflowFile, stages: StagesFlag = "", settings: SetFlag = None) -> None:
    """Say what `run` would do and what it would cost, and stop."""
    options = load_workflow(file, flags=settings or ())
    known = workflow.rates(Path(options.run.folder) / "log.jsonl")
    table = Table("stage", "step", "blocks", "read", "written", "peak per worker", "TFLOP", "time")
    for stage, steps in workflow.plan(options, stages=_listed(stages)):
        for step in steps:
            table.add_row(stage, *_costs(step, known.get(step.name)))
    out.print(table)
    if not known:
        out.print("times are stated once a run has left its rates in the run's folder")


@app.command()
def phantom(
    url: Annotated[str, typer.Argument(metavar="OUT.zarr")],
    shape: Annotated[tuple[int, int, int], typer.Option(metavar="Z Y X", help="Voxels.")],
    voxel_nm: Annotated[
        tuple[float, float, float], typer.Option(metavar="Z Y X", help="Voxel size in nm.")
    ] = (50.0, 10.0, 10.0),
    seed: Annotated[int, typer.Option(help="Same seed, same voxels.")] = 0,
    workers: WorkersFlag = 0,
    serial: SerialFlag = False,
) -> None:
    """Make a HeLa-like volume of any size, with its nuclei as labels/nuclei."""
    from volproc.stages.phantom.stage import plan_phantom, run_phantom

    options = _options(PhantomOptions, shape=shape, voxel_nm=voxel_nm, seed=seed)
    with _runner(url, workers=workers, serial=serial) as runner:
        rows = run_phantom(plan_phantom(url, options), runner)
    out.print(f"{url}: {len(rows)} nuclei, listed in {url}/labels/nuclei")


@app.command()
def ingest(
    source: Annotated[Path, typer.Argument(help="A TIFF file, or a folder of TIFF slices.")],
    url: Annotated[str, typer.Argument(metavar="OUT.zarr")],
    voxel_nm: VoxelFlag = None,
    match_slices: Annotated[
        bool, typer.Option(help="Bring every slice to the volume's mean and spread.")
    ] = False,
    missing: Annotated[
        str, typer.Option(help="Gaps in the slices' numbers: refuse, or repeat the slice before.")
    ] = "refuse",
    labels: Annotated[
        bool, typer.Option(help="The files hold labels: the pyramid takes the most frequent.")
    ] = False,
    workers: WorkersFlag = 0,
    serial: SerialFlag = False,
) -> None:
    """Turn files into an OME-Zarr volume with its pyramid."""
    from volproc.stages.ingest.stage import plan_ingest, run_ingest

    options = _options(
        IngestOptions, voxel_nm=voxel_nm, match_slices=match_slices, missing=missing, labels=labels
    )
    with _runner(url, workers=workers, serial=serial) as runner:
        _describe(run_ingest(plan_ingest(source, url, options), runner))


@app.command()
def predict(
    image: Annotated[str, typer.Argument(metavar="IMAGE.zarr")],
    model: Annotated[str, typer.Argument(help="A model folder, or the name of a shipped model.")],
    url: Annotated[str, typer.Argument(metavar="OUT.zarr")],
    axes: Annotated[str, typer.Option(help="Axes to look along.")] = "zyx",
    fusion: Annotated[str, typer.Option(help="union, majority, mean or max.")] = "mean",
    threshold: Annotated[float, typer.Option(help="From which an axis votes yes.")] = 0.5,
    votes: Annotated[
        str, typer.Option(metavar="VOTES.zarr", help="Also write each axis' probability there.")
    ] = "",
    voxel_nm: VoxelFlag = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    workers: WorkersFlag = 0,
    serial: SerialFlag = False,
) -> None:
    """Predict with a model along three axes and fuse their votes."""
    from volproc.stages.predict.stage import plan_predict, run_predict

    options = _options(
        PredictOptions,
        model=model,
        axes=axes,
        fusion=fusion,
        threshold=threshold,
        votes=bool(votes),
        voxel_nm=voxel_nm,
        device=device,
    )
    volume = open_volume(image, voxel_nm=voxel_nm)
    chosen = plan_predict(
        volume.info, url, options, votes_url=votes or None, identity=volume.identity
    )
    with _runner(url, workers=workers, serial=serial) as runner:
        _describe(run_predict(chosen, runner))


@app.command()
def label(
    mask: Annotated[str, typer.Argument(metavar="MASK.zarr")],
    url: Annotated[str, typer.Argument(metavar="OBJECTS.zarr")],
    connectivity: Annotated[int, typer.Option(help="6, 18 or 26.")] = 26,
    threshold: ThresholdFlag = 0.5,
    min_volume_um3: Annotated[float, typer.Option(help="Smaller objects are dropped; um³.")] = 1.25,
    native: Annotated[
        str, typer.Option(metavar="IMAGE.zarr", help="Also write labels on this image's grid.")
    ] = "",
    workers: WorkersFlag = 0,
    serial: SerialFlag = False,
) -> None:
    """Number connected components and list them in a table."""
    from volproc.stages.label.stage import plan_label, run_label

    options = _options(
        LabelOptions,
        connectivity=connectivity,
        threshold=threshold,
        min_volume_um3=min_volume_um3,
        native=bool(native),
    )
    volume = open_volume(mask)
    grid = open_volume(native).info if native else None
    chosen = plan_label(volume.info, url, options, native=grid, identity=volume.identity)
    with _runner(url, workers=workers, serial=serial) as runner:
        result = run_label(chosen, runner)
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
        tuple[int, int] | None, typer.Option(metavar="FIRST END", help="These z slices only.")
    ] = None,
    threshold: ThresholdFlag = 0.5,
    workers: WorkersFlag = 0,
    serial: SerialFlag = False,
) -> None:
    """Score a result (a mask, labels, a probability, or votes) against a label volume."""
    from volproc.engine.ledger import digest
    from volproc.stages.evaluate.stage import plan_evaluate, run_evaluate

    options = _options(
        EvaluateOptions,
        truth=truth,
        truth_labels=_whole_numbers(truth_labels),
        slices=slices,
        threshold=threshold,
    )
    found, wanted = open_volume(result), open_volume(truth)
    name = "votes" if found.info.channels else "result"
    identity = digest(found.identity, wanted.identity)
    chosen = plan_evaluate({name: found.info}, wanted.info, options, url=json, identity=identity)
    with _runner(result, workers=workers, serial=serial) as runner:
        scores = run_evaluate(chosen, runner)
    _print_rows(scores.rows())


@app.command()
def train(file: WorkflowFile, settings: SetFlag = None) -> None:
    """Train a model from the [train] table of a workflow file, or go on training it."""
    from volproc.stages.train.stage import plan_train, run_train, sources_of

    options: TrainOptions = load_workflow(file, flags=settings or ()).require_train()
    chosen = plan_train(
        sources_of(options.images, options.labels, options.weights),
        options,
        validation=sources_of(options.validation_images, options.validation_labels),
    )
    card = run_train(chosen, watch=lambda record: out.print(record))
    out.print(f"model {card.name}: {options.model_out}")


@app.command()
def report(folder: Annotated[Path, typer.Argument(metavar="RUN/")]) -> None:
    """Write a finished run's report again."""
    settings = folder / "workflow.json"
    if not settings.exists():
        raise ConfigError(
            f"{folder} is not a run's folder: it has no workflow.json; see `volproc run`"
        )
    options = workflow.saved(settings)
    out.print(f"report: {workflow.run(options, stages=('report',)).resolve()}")


@app.command()
def version() -> None:
    """The version of volproc."""
    out.print(__version__)


def main() -> None:
    """Run the command line; any error a user can mend is one line and exit code 2."""
    try:
        app()
    except VolprocError as error:
        _fail(str(error), error.exit_code)
    except SystemExit as end:
        if end.code != INTERRUPTED:
            raise
        _fail("stopped; finished blocks are kept, the same command goes on from here", INTERRUPTED)


def _fail(message: str, code: int) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(
        f"volproc: {' '.join(message.split())}"
    )
    sys.exit(code)


@contextmanager
def _runner(url: str, *, workers: int, serial: bool) -> Iterator[Runner]:
    """A runner whose record is kept beside the volume that a single command writes."""
    beside = Path(f"{url.rstrip('/')}.volproc")
    options = ClusterOptions(kind="serial" if serial else "local", workers=workers)
    with workflow.engine_of(options) as engine, TerminalBar() as bar:
        yield Runner(engine, beside / "ledger", (bar, JsonLines(beside / "log.jsonl")))


@contextmanager
def _bars(quiet: bool) -> Iterator[tuple[Any, ...]]:
    if quiet:
        yield ()
        return
    with TerminalBar() as bar:
        yield (bar,)


def _options(kind: type[Any], **values: Any) -> Any:
    assert issubclass(kind, Options)
    given = {key: value for key, value in values.items() if value is not None}
    return check(kind, given, where=f"--{'/--'.join(k.replace('_', '-') for k in given)}")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in _listed(text))
    except ValueError as error:
        raise ConfigError(
            f"--truth-labels needs whole numbers separated by commas, got {text!r}"
        ) from error


def _costs(step: Step, rate: float | None) -> tuple[str, ...]:
    voxels = sum(block.core.size for block in step.blocks)
    return (
        step.name,
        f"{len(step.blocks):,}",
        human(step.bytes_read) if step.bytes_read else "-",
        human(step.bytes_written) if step.bytes_written else "-",
        human(step.peak_bytes),
        f"{step.flop / 1e12:.3g}" if step.flop else "-",
        f"{voxels / rate:.3g} s" if rate else "-",
    )


def _describe(volume: Volume) -> None:
    info = volume.info
    size = " x ".join(map(str, info.shape))
    voxel = " x ".join(f"{v:g}" for v in info.voxel_nm)
    out.print(
        f"{info.url}: {size} voxels of {voxel} nm, {len(info.levels)} levels, "
        f"{prod(info.shape) / 1e6:.4g} Mvoxel"
    )


def _print_rows(rows: list[dict[str, Any]]) -> None:
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()))
    out.print(table)
