"""The command line: words in, words out. Commands call the functions that Python users call.

Those are imported when first used (see `volproc`), so that --help does not wait for torch.
"""

from __future__ import annotations

import sys
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import volproc
from volproc.config import (
    ClusterOptions,
    EvaluateOptions,
    FetchOptions,
    IngestOptions,
    LabelOptions,
    PhantomOptions,
    PredictOptions,
    check,
    load_workflow,
)
from volproc.engine.memory import human
from volproc.engine.progress import TerminalBar
from volproc.errors import ConfigError, VolprocError

if TYPE_CHECKING:
    from volproc.engine.protocol import Step
    from volproc.volume.store import Volume

app = typer.Typer(
    help="Volume electron microscopy to labelled objects.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 130)
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
PatternFlag = Annotated[
    list[str] | None,
    typer.Option("--pattern", help="Files of the entry, as 'data/ROI_01/*.dm4'; repeatable."),
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
    options = _options(PhantomOptions, shape=shape, voxel_nm=voxel_nm, seed=seed)
    with TerminalBar() as bar:
        rows = volproc.phantom(url, options, cluster=_cluster(workers, serial), watchers=(bar,))
    out.print(f"{url}: {len(rows)} nuclei, labelled in {url}/labels/nuclei")


@app.command()
def ingest(
    source: Annotated[str, typer.Argument(help="A file, a folder of slices, a URL, EMPIAR-...")],
    url: Annotated[str, typer.Argument(metavar="OUT.zarr")],
    voxel_nm: VoxelFlag = None,
    match_slices: Annotated[
        bool, typer.Option(help="Bring every slice to the volume's mean and spread.")
    ] = False,
    missing: Annotated[
        str, typer.Option(help="Gaps in the slices' numbers: refuse, repeat or blank.")
    ] = "refuse",
    unequal: Annotated[str, typer.Option(help="Slices of unequal size: refuse or pad.")] = "refuse",
    labels: Annotated[
        bool, typer.Option(help="The files hold labels: the pyramid takes the most frequent.")
    ] = False,
    dtype: Annotated[str, typer.Option(help="keep, or uint8 by percentiles.")] = "keep",
    grey_range: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="Grey values that become 0 and 255 with uint8."),
    ] = None,
    ome_zarr: Annotated[str, typer.Option(help="Version: 0.5, or 0.4 for older viewers.")] = "0.5",
    changed: Annotated[
        str, typer.Option(help="Files changed since the output was begun: refuse or redo.")
    ] = "refuse",
    keep: Annotated[
        str, typer.Option(help="The files of an EMPIAR entry once they are converted: yes or no.")
    ] = "yes",
    pattern: PatternFlag = None,
    workers: WorkersFlag = 0,
    serial: SerialFlag = False,
) -> None:
    """Turn files into an OME-Zarr volume with its pyramid."""
    options = _options(
        IngestOptions,
        voxel_nm=voxel_nm,
        match_slices=match_slices,
        missing=missing,
        unequal=unequal,
        labels=labels,
        dtype=dtype,
        grey_range=grey_range,
        ome_zarr=ome_zarr,
        changed=changed,
        keep=keep,
    )
    with TerminalBar() as bar:
        made = volproc.ingest(
            source,
            url,
            options,
            fetch=_options(FetchOptions, pattern=tuple(pattern or ())),
            cluster=_cluster(workers, serial),
            watchers=(bar,),
        )
    _describe(made)
    filled = made.info.made_by.get("filled_slices")
    if filled:
        out.print(f"{len(filled)} slices were missing and are filled ({missing}): {filled}")


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
    with TerminalBar() as bar:
        made = volproc.predict(
            image,
            url,
            options,
            votes=votes or None,
            cluster=_cluster(workers, serial),
            watchers=(bar,),
        )
    _describe(made)


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
    options = _options(
        LabelOptions,
        connectivity=connectivity,
        threshold=threshold,
        min_volume_um3=min_volume_um3,
        native=bool(native),
    )
    with TerminalBar() as bar:
        result = volproc.label(
            mask,
            url,
            options,
            native=native or None,
            cluster=_cluster(workers, serial),
            watchers=(bar,),
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
        tuple[int, int] | None, typer.Option(metavar="FIRST END", help="These z slices only.")
    ] = None,
    threshold: ThresholdFlag = 0.5,
    workers: WorkersFlag = 0,
    serial: SerialFlag = False,
) -> None:
    """Score a result (a mask, labels, a probability, or votes) against a label volume."""
    options = _options(
        EvaluateOptions,
        truth=truth,
        truth_labels=_whole_numbers(truth_labels),
        slices=slices,
        threshold=threshold,
    )
    with TerminalBar() as bar:
        scores = volproc.evaluate(
            result, options, out=json, cluster=_cluster(workers, serial), watchers=(bar,)
        )
    _print_rows(scores.rows())


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


def _cluster(workers: int, serial: bool) -> ClusterOptions:
    values = {"kind": "serial" if serial else "local", "workers": workers}
    return check(ClusterOptions, values, where="command line")


def _options(kind: type[Any], **values: Any) -> Any:
    given = {key: value for key, value in values.items() if value is not None}
    return check(kind, given, where="command line")


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
