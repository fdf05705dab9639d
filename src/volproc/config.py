"""Every option, with its default, unit and meaning. One TOML file; unknown keys are errors.

A file is overruled by the environment (VOLPROC_PREDICT__AXES=zy), the environment by flags
(--set predict.axes=zy). Relative paths in a file are seen from the file's folder.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from volproc.errors import ConfigError
from volproc.fusion import Fusion
from volproc.grid.blocks import Connectivity

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Triple = tuple[Positive, Positive, Positive]
Voxels = tuple[Count, Count, Count]
Stage = Literal["ingest", "predict", "label", "evaluate", "report"]

ACCESSION = re.compile(r"EMPIAR-(\d{5,})", re.IGNORECASE)
"""An entry of EMPIAR, where a source may be named."""

STAGES: tuple[Stage, ...] = ("ingest", "predict", "label", "evaluate", "report")
"""In the order they run."""


class Options(BaseModel):
    """Frozen; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


T = TypeVar("T", bound=Options)


class RunOptions(Options):
    """What the whole run works on."""

    source: str = ""
    """The image: a file, a folder of slices, a URL of either, an OME-Zarr, an EMPIAR accession."""
    folder: str = "run"
    """Where everything is written: volumes, tables, the report, and the record of what is done."""


class ClusterOptions(Options):
    """Who does the work."""

    kind: Literal["local", "serial"] = "local"
    """local: Dask workers on this machine. serial: this process alone, for debugging."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Worker processes; 0 is one per core."""
    threads: Count = 1
    """Blocks one worker has in hand; more than 1 overlaps reading with computing on a GPU."""
    worker_memory_gb: Annotated[float, Field(ge=0)] = 0.0
    """Memory of one worker in GB (10^9 bytes); 0 shares 90% of the machine."""


class IngestOptions(Options):
    """From microscope files to OME-Zarr."""

    voxel_nm: Triple | None = None
    """Voxel size in nm (z, y, x), where the files do not state it or state it wrongly."""
    match_slices: bool = False
    """Bring every slice to the volume's mean and spread, where slices were stretched one by one."""
    labels: bool = False
    """The files hold labels, not an image: the pyramid takes the most frequent value, no mean."""
    missing: Literal["refuse", "repeat", "blank"] = "refuse"
    """What becomes of a gap in the slices' numbers: the slice before again, or voxels of 0."""
    unequal: Literal["refuse", "pad"] = "refuse"
    """Slices of unequal size: pad adds voxels of 0 below and right, up to the largest."""
    channel: Annotated[int, Field(ge=0)] | None = None
    """Which channel of an OME-Zarr that has several, counted from 0."""
    dtype: Literal["keep", "uint8"] = "keep"
    """uint8 maps grey values to 0 to 255, with the same two constants for the whole volume."""
    grey_range: tuple[float, float] | None = None
    """Grey values that become 0 and 255; by default the 0.1 and 99.9 percentiles of a sample."""
    ome_zarr: Literal["0.5", "0.4"] = "0.5"
    """Version of OME-Zarr: 0.5 (zarr 3, sharded), or 0.4 (zarr 2) for older viewers."""
    changed: Literal["refuse", "redo"] = "refuse"
    """What to do where the output was begun from files that have changed since."""
    keep: bool = True
    """Keep the files of an EMPIAR entry once they are converted; no saves the space they take."""


class FetchOptions(Options):
    """Files of an EMPIAR entry, over the network."""

    pattern: tuple[str, ...] = ()
    """Shell patterns on the paths of the entry ("data/ROI_01/*.dm4"); all files if empty."""
    folder: str = ""
    """Where the files of an entry lie while it is ingested; by default OUT.zarr.volproc/files."""
    connections: Annotated[int, Field(ge=1, le=10)] = 6
    """Files in transfer at once; more than 10 are not polite."""
    tries: Count = 8
    """Attempts per file that bring nothing new; each goes on from there, after a longer pause."""
    timeout_s: Positive = 60.0
    """Seconds without a byte after which a connection is given up; s."""
    api: str = "https://www.ebi.ac.uk/empiar/api/entry/"
    """Where entries are described."""
    archive: str = "https://ftp.ebi.ac.uk/empiar/world_availability/"
    """Where the files lie: https:// or ftp://."""


class PredictOptions(Options):
    """The network along three axes, and the fusion of their votes."""

    model: str = "nuclei-50nm"
    """A model folder (weights.safetensors and card.json), or the name of a shipped model."""
    voxel_nm: Triple | None = None
    """Voxel size of the image in nm (z, y, x), where its metadata lacks it."""
    axes: Literal["z", "y", "x", "zy", "zx", "yx", "zyx"] = "zyx"
    """Axes to look along."""
    fusion: Fusion = "mean"
    """union, majority, mean or max of the axes' votes."""
    threshold: Fraction = 0.5
    """Probability from which an axis votes yes (union and majority)."""
    votes: bool = True
    """Keep each axis' probability as a volume of channels x, y, z (red, green, blue)."""
    tile: Voxels | None = None
    """Voxels (at the model's voxel size) the network answers at once per axis; chosen to suit."""
    block: Voxels | None = None
    """Voxels (at the model's voxel size) one task writes; by default one tile."""
    batch: Annotated[int, Field(ge=0)] = 0
    """Tiles in one call of the network; 0 is 1 on a CPU (measured best there) and 8 on a GPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network runs; auto takes a GPU if there is one."""


class LabelOptions(Options):
    """Connected components of the prediction."""

    connectivity: Connectivity = 26
    """Which voxels are neighbours: 6 share a face, 18 also an edge, 26 also a corner."""
    threshold: Fraction = 0.5
    """Probability from which a voxel is foreground."""
    min_volume_um3: Annotated[float, Field(ge=0)] = 1.25
    """Smaller objects are dropped; um³."""
    native: bool = False
    """Also write the labels on the image's own grid."""
    block: Voxels | None = None
    """Voxels one task labels; by default one shard of the output."""


class EvaluateOptions(Options):
    """Scores against a label volume."""

    truth: str = ""
    """An OME-Zarr label volume of the same field of view (`volproc ingest --labels` makes one)."""
    truth_labels: tuple[int, ...] = ()
    """Label values that count as foreground; all but 0 if empty."""
    slices: tuple[int, int] | None = None
    """Score these z slices of the truth only: first, and one past the last."""
    threshold: Fraction = 0.5
    """Probability from which a voxel counts as foreground."""


class ReportOptions(Options):
    """The page at the end."""

    title: str = ""
    """Heading of the page; by default the name of the source."""
    slices: Count = 3
    """Pictures along each axis."""


class AnnotateOptions(Options):
    """From volunteers' drawings to labels."""

    method: Literal["cria", "cria-2021", "majority", "em", "rasa", "staple"] = "cria"
    """How the drawings on a slice become one: cria is ours, cria-2021 the published one."""
    workflow: tuple[int, ...] = ()
    """Workflow numbers to read from the export; all if empty."""
    workflow_version: tuple[str, ...] = ()
    """Workflow versions to read, as "4.4", or "4" for all of 4; all if empty."""
    task: tuple[str, ...] = ()
    """Tasks that hold drawings, as "T0"; all that hold any if empty."""
    tool: tuple[int, ...] = ()
    """Numbers of the drawing tools to read; all if empty."""
    bezier_tools: tuple[int, ...] = ()
    """Numbers of classifier 1's tools that draw Bezier curves: exports do not tell them apart."""
    frames: Literal["shown", "all"] = "shown"
    """Drawings on the frame that was shown, or on all frames of a subject."""
    subject_name: str = "Subject ID"
    """Key of the subject's metadata that names it."""
    frame_name: str = "Image {frame}"
    """Key of the metadata that holds a frame's file name; {frame} counts from 0."""
    frame_pattern: str = r"(?P<roi>.+)_z(?P<slice>\d+)\.\w+"
    """How a frame's file name tells the region and the slice."""
    first_slice: Annotated[int, Field(ge=0)] = 1
    """The number in the file names that is the region's first slice."""
    rois: tuple[str, ...] = ()
    """Regions to read; all if empty."""
    manifest: str = ""
    """manifest.csv of `volproc subjects`: where regions lie in the volume."""
    duplicates: Literal["first", "last"] = "last"
    """Which counts of several classifications of one subject by one person."""
    envelope_nm: Positive = 70.0
    """Width of the envelope that is drawn along the outline; nm."""
    close_nm: Positive = 1000.0
    """cria: stroke ends farther apart than this are not joined by a straight line; nm."""
    fewest_votes: Count = 3
    """Slices on which fewer looked are marked to be ignored."""
    skills: bool = True
    """cria: weigh each volunteer by how well they agree with the others over all slices."""
    along_z: bool = False
    """Replace a slice on which the crowd failed by what its neighbours say."""
    block_slices: Count = 16
    """Slices one task works on."""


class SubjectsOptions(Options):
    """Slices for volunteers."""

    rois: tuple[tuple[int, int, int, int, int, int], ...] = ()
    """Regions (z, y, x of the first voxel, then their lengths); tiled over the volume if empty."""
    roi: Voxels = (50, 2000, 2000)
    """Voxels (z, y, x) of a region where the volume is tiled."""
    frames: Annotated[int, Field(ge=1)] = 5
    """Slices shown with a subject; the one to draw on is in the middle."""
    every: Count = 1
    """One subject for every so many slices."""
    format: Literal["jpeg", "png"] = "jpeg"
    """Of the images."""
    scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Size of the images over that of the slices; 0.5 halves it."""
    largest_bytes: Count = 1_000_000
    """Of one image; the quality is lowered until it fits. Zooniverse takes up to 1 MiB."""
    attribution: str = ""
    """Whose images they are, shown to volunteers."""


class CrowdOptions(Options):
    """Simulated volunteers."""

    volunteers: Count = 21
    """Who look at each slice."""
    crowd: Literal["clean", "typical", "bad"] = "typical"
    """How well they draw."""
    classifier: Literal[1, 2] = 2
    """Version of Zooniverse's classifier whose export is written."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Same seed, same drawings."""
    slices: tuple[int, int] | None = None
    """These z slices only: first, and one past the last."""
    labels: tuple[int, ...] = ()
    """Label values that are the object; all but 0 if empty."""


class TrainedOnOptions(Options):
    """One source of training data, for the model's card."""

    name: str
    """What it is."""
    terms: str
    """Under which terms it may be used."""


class TrainOptions(Options):
    """A network trained from images and their labels."""

    name: str = "model"
    """Name on the card."""
    object_name: str = "nucleus"
    """What the labels mark."""
    model_out: str = "model"
    """Folder of the model, and of the checkpoints to go on from."""
    images: tuple[str, ...] = ()
    """OME-Zarr images."""
    labels: tuple[str, ...] = ()
    """OME-Zarr label volumes, one per image; all but 0 is foreground."""
    weights: tuple[Positive, ...] = ()
    """How often patches come from each image, relative to the others; equally often if empty."""
    validation_images: tuple[str, ...] = ()
    """Images the network is scored on but never learns from."""
    validation_labels: tuple[str, ...] = ()
    """Their label volumes."""
    voxel_nm: Positive = 50.0
    """Voxel size in nm, the same along all axes, at which the network sees the images."""
    slices_in: Count = 12
    """Neighbouring planes the network reads."""
    slices_out: Count = 8
    """Planes it answers: the central ones."""
    widths: tuple[Count, ...] = (32, 64, 96, 128)
    """Channels per level of the U-Net, finest first."""
    stem: Annotated[int, Field(ge=1)] = 2
    """Pixels of a side that become channels before the first convolution; 1 for none."""
    start_from: str = ""
    """A model of the same network to go on from: a folder or a shipped name; none if empty."""
    patch: Count = 192
    """Pixels of a side of the training patches, a multiple of the network's stride."""
    batch: Count = 8
    """Patches per step."""
    steps: Count = 3000
    """Steps of the optimiser."""
    learning_rate: Positive = 2e-3
    """The highest one; it falls along a half cosine to 0 at the last step."""
    border_weight: Annotated[float, Field(ge=0)] = 0.0
    """How much more voxels within 100 nm of an object's border (at 50 nm) count in the loss."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Same seed, same data, same device: same weights."""
    checkpoint_steps: Count = 100
    """Steps between checkpoints."""
    validate_steps: Count = 500
    """Steps between scores on the validation images."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it trains; auto takes a GPU if there is one."""
    licence: str = ""
    """Terms of the weights, for the card."""
    notes: str = ""
    """What a user of the model should know, for the card."""
    trained_on: tuple[TrainedOnOptions, ...] = ()
    """The data and their terms, for the card."""


class PhantomOptions(Options):
    """A made volume with its truth."""

    shape: Voxels = (128, 1024, 1024)
    """Voxels (z, y, x)."""
    voxel_nm: Triple = (50.0, 10.0, 10.0)
    """Voxel size in nm (z, y, x)."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Same seed, same voxels."""
    cell_density: Fraction = 1.0
    """Share of the places for cells that hold one; 1 is packed as in a pellet, 0 is bare resin."""


class Workflow(Options):
    """A whole workflow file: one table per stage, all with defaults."""

    run: RunOptions = RunOptions()
    cluster: ClusterOptions = ClusterOptions()
    ingest: IngestOptions = IngestOptions()
    fetch: FetchOptions = FetchOptions()
    predict: PredictOptions = PredictOptions()
    label: LabelOptions = LabelOptions()
    evaluate: EvaluateOptions = EvaluateOptions()
    report: ReportOptions = ReportOptions()

    train: TrainOptions | None = None

    def require_source(self) -> str:
        """The source; ConfigError if there is none."""
        if not self.run.source:
            raise ConfigError('[run] source is missing; name the image, e.g. source = "stack.tif"')
        return self.run.source

    def require_train(self) -> TrainOptions:
        """The [train] options; ConfigError if the file has none."""
        if self.train is None:
            raise ConfigError("the workflow file has no [train] table: it names images and labels")
        return self.train


PATHS = {
    ("run", "source"),
    ("run", "folder"),
    ("fetch", "folder"),
    ("evaluate", "truth"),
    ("train", "model_out"),
    ("train", "images"),
    ("train", "labels"),
    ("train", "validation_images"),
    ("train", "validation_labels"),
}
"""Options that hold paths, which a file gives relative to itself."""


MODELS = {("predict", "model"), ("train", "start_from")}
"""Options that hold a model: a path relative to the file, or the name of a shipped one."""


def load_workflow(
    path: Path, *, flags: Iterable[str] = (), environment: Mapping[str, str] = os.environ
) -> Workflow:
    """The options of a TOML file, overruled by the environment, then by `flags` (table.key=value).

    ConfigError, one line, names the key that is wrong and what it may be.
    """
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read the workflow file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from error
    _anchor(tables, path.parent)
    _overrule(tables, environment)
    for flag in flags:
        key, equals, value = flag.partition("=")
        if not equals or "." not in key:
            raise ConfigError(f"--set needs table.key=value, got {flag!r}")
        _set(tables, key, value)
    return parsed(Workflow, tables, where=str(path))


def from_flags(
    kind: type[T], table: str, flags: dict[str, Any], *, environment: Mapping[str, str] = os.environ
) -> T:
    """The options of one `table` for a command without a file: the environment, then `flags`."""
    tables: dict[str, Any] = {}
    _overrule(tables, environment)
    return parsed(kind, {**tables.get(table, {}), **flags}, where="command line")


def parsed(kind: type[T], values: dict[str, Any], *, where: str) -> T:
    """`values` as options of `kind`; ConfigError, one line, for the first that is wrong."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{where}: {_explained(kind, first)}") from error


def _explained(kind: type[Options], error: Any) -> str:
    place = [str(part) for part in error["loc"]]
    name = ".".join(place)
    if kind is Workflow and len(place) > 1:
        name = f"[{place[0]}] {'.'.join(place[1:])}"
    if error["type"] == "extra_forbidden":
        known = _names(kind, place[:-1])
        close = difflib.get_close_matches(place[-1], known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
        return f"unknown key {name}; {hint}"
    if error["type"] == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    return f"{name} = {json.dumps(error['input'], default=str)}: {error['msg'].lower()}"


def _names(kind: type[Options], tables: list[str]) -> list[str]:
    for table in tables:
        kind = kind.model_fields[table].annotation  # type: ignore[assignment]
    return list(kind.model_fields)


def _anchor(tables: dict[str, Any], folder: Path) -> None:
    def seen_from(value: Any) -> Any:
        if isinstance(value, list):
            return [seen_from(one) for one in value]
        if not isinstance(value, str) or not _is_path(value):
            return value
        return os.path.normpath(folder / value)  # ../demo shows as demo, not examples/../demo

    for table, key in PATHS:
        options = tables.get(table)
        if isinstance(options, dict) and key in options:
            options[key] = seen_from(options[key])
    for table, key in MODELS:
        options = tables.get(table)
        if not isinstance(options, dict) or not isinstance(options.get(key), str):
            continue
        if "/" in options[key] or (options[key] and (folder / options[key]).is_dir()):
            options[key] = seen_from(options[key])


def _is_path(text: str) -> bool:
    return bool(text) and "://" not in text and not ACCESSION.fullmatch(text)


def _overrule(tables: dict[str, Any], environment: Mapping[str, str]) -> None:
    for name, value in sorted(environment.items()):
        if name.startswith("VOLPROC_") and "__" in name:
            _set(tables, name.removeprefix("VOLPROC_").lower().replace("__", ".", 1), value)


def _set(tables: dict[str, Any], key: str, text: str) -> None:
    table, _, option = key.partition(".")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    options = tables.setdefault(table, {})
    if isinstance(options, dict):  # anything else is refused by `check`
        options[option] = value
