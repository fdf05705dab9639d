"""What volproc offers. Written by scripts/generate from the stages' options.py."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from distributed import Client

from volproc import array as array
from volproc import labels as labels
from volproc.array.storing import store as store
from volproc.config.cluster import ClusterOptions as ClusterOptions
from volproc.config.run import RunOptions as RunOptions
from volproc.engine.events import Watcher
from volproc.errors import VolprocError as VolprocError
from volproc.functions import plan as plan
from volproc.functions import run as run
from volproc.functions import status as status
from volproc.grid.box import Box as Box
from volproc.model.checking import check_model as check_model
from volproc.model.keras.importing import import_keras as import_keras
from volproc.model.model_folder import load_card as load_card
from volproc.model.weights import Card
from volproc.stages.annotate.options import AnnotateOptions as AnnotateOptions
from volproc.stages.annotate.stage import AnnotateResult
from volproc.stages.crowd.options import CrowdOptions as CrowdOptions
from volproc.stages.crowd.stage import CrowdSummary
from volproc.stages.doubt.options import DoubtOptions as DoubtOptions
from volproc.stages.doubt.stage import DoubtResult
from volproc.stages.evaluate.options import EvaluateOptions as EvaluateOptions
from volproc.stages.evaluate.scores import Scores
from volproc.stages.filter.options import FilterOptions as FilterOptions
from volproc.stages.fix.options import FixOptions as FixOptions
from volproc.stages.ingest.empiar.fetch import plan_fetch as plan_fetch
from volproc.stages.ingest.empiar.fetch import run_fetch as run_fetch
from volproc.stages.ingest.options import FetchOptions as FetchOptions
from volproc.stages.ingest.options import IngestOptions as IngestOptions
from volproc.stages.interior.options import InteriorOptions as InteriorOptions
from volproc.stages.label.options import LabelOptions as LabelOptions
from volproc.stages.label.stage import LabelResult
from volproc.stages.measure.options import MeasureOptions as MeasureOptions
from volproc.stages.measure.stage import MeasureResult
from volproc.stages.phantom.options import PhantomOptions as PhantomOptions
from volproc.stages.predict.options import PredictOptions as PredictOptions
from volproc.stages.report.options import ReportOptions as ReportOptions
from volproc.stages.subjects.options import SubjectsOptions as SubjectsOptions
from volproc.stages.subjects.upload import upload_subjects as upload_subjects
from volproc.stages.train.augmentation.options import AugmentationOptions
from volproc.stages.train.data_options import DataOptions, TargetOptions
from volproc.stages.train.options import TrainedOnOptions
from volproc.stages.train.options import TrainOptions as TrainOptions
from volproc.volume.metadata import VolumeInfo as VolumeInfo
from volproc.volume.metadata import new_volume as new_volume
from volproc.volume.store import Volume as Volume
from volproc.volume.store import create_volume as create_volume
from volproc.volume.store import open_volume as open_volume
from volproc.workflow.checking import check as check
from volproc.workflow.fixing import edited_run as edited_run
from volproc.workflow.workflow_file import Workflow as Workflow
from volproc.workflow.workflow_file import load_workflow as load_workflow

__version__: str
__all__: list[str]

def phantom(
    out: str | Path,
    options: PhantomOptions | None = None,
    *,
    shape: Sequence[int] = (128, 1024, 1024),
    voxel_nm: Sequence[float] = (50.0, 10.0, 10.0),
    seed: int = 0,
    cell_density: float = 1.0,
    look: Literal["hela", "varied"] = "hela",
    nucleus_size: float | None = None,
    irregularity: float | None = None,
    folds: float | None = None,
    fold_width: float | None = None,
    cytoplasm: float | None = None,
    ragged: float | None = None,
    villi: float | None = None,
    lumps: float | None = None,
    bare_rim_nm: float | None = None,
    organelles: float | None = None,
    debris: float | None = None,
    debris_size: float | None = None,
    nucleus_grey: float | None = None,
    cytoplasm_grey: float | None = None,
    resin_grey: float | None = None,
    mitochondria_grey: float | None = None,
    envelope_nm: float | None = None,
    membranes: float | None = None,
    reticulum: float | None = None,
    lamellae: float | None = None,
    heterochromatin: float | None = None,
    chromatin: float | None = None,
    nucleoli: float | None = None,
    grain: float | None = None,
    contrast: float | None = None,
    noise: float | None = None,
    blur_nm: float | None = None,
    slice_steps: float | None = None,
    charging: float | None = None,
    resin_tone: float | None = None,
    inverted: bool | None = None,
    overwrite: bool = False,
    cluster: ClusterOptions | Client | None = None,
    watchers: Sequence[Watcher] = (),
    progress: bool = True,
) -> Any:
    """Make a HeLa-like volume of any size, with its nuclei as labels/nuclei.

    Parameters
    ----------
    out
        The volume.
    options
        `PhantomOptions`; keywords below go over it.
    shape
        Voxels (z, y, x).
    voxel_nm
        Voxel size in nm (z, y, x).
    seed
        Same seed, same voxels.
    cell_density
        Share of the places for cells that hold one; 1 is packed as in a pellet, 0 is bare
        resin.
    look
        hela: as EMPIAR-10094. varied: every option below that is not given is drawn from
        the seed, so phantoms of other seeds look like other samples under other
        microscopes. Numbers that have no unit are factors: 1 is as in HeLa cells.
    nucleus_size
        Diameter of nuclei; 1 is 8 to 11 um.
    irregularity
        How far nuclei are from ellipsoids: lobes and crenated outlines.
    folds
        Number of invaginations of a nucleus.
    fold_width
        Width of the invaginations; 1 is 0.1 to 0.3 um.
    cytoplasm
        Thickness of the cytoplasm around nuclei.
    ragged
        Size of the blebs by which cells differ from ellipsoids.
    villi
        Fine outgrowths of the cells' surface; HeLa's is 0.
    lumps
        Shed lumps of cytoplasm in the resin, without organelles; HeLa's is 0, none.
    bare_rim_nm
        Cytoplasm beneath the cells' surface that has no organelles; HeLa's is 0.
    organelles
        Number of mitochondria, lysosomes and vesicles; above 1.25 mitochondria are
        everywhere.
    debris
        Number of round bodies in the resin.
    debris_size
        Diameter of these bodies.
    nucleus_grey
        Grey level of nuclei; HeLa's is 156.
    cytoplasm_grey
        Grey level of cytoplasm, with whose change all that is in it changes; HeLa's is 150.
    resin_grey
        Grey level of what is around the cells; HeLa's is 203.
    mitochondria_grey
        Grey level of mitochondria in cytoplasm of 150; HeLa's is 128.
    envelope_nm
        Thickness of the nuclear envelope; HeLa's is 77.
    membranes
        Contrast of the nuclear envelope and of the cells' membrane.
    reticulum
        Contrast of the endoplasmic reticulum.
    lamellae
        Contrast of a sheet of reticulum along the nucleus; HeLa's is 0.
    heterochromatin
        Grey levels by which nuclei are darker beneath their envelope; HeLa's is 8.
    chromatin
        Contrast of the coarse texture in nuclei.
    nucleoli
        Grey levels by which nucleoli are darker than their nucleus; HeLa's is 13.
    grain
        Contrast of the fine texture of nuclei, cytoplasm and resin.
    contrast
        Contrast of everything but the noise, about a grey level of 160.
    noise
        Spread of the noise; 1 is 8 grey levels at 10 nm, 4 at 50 nm.
    blur_nm
        Width by which edges are blurred, besides that of a voxel; HeLa's is 0.
    slice_steps
        Steps of brightness from slice to slice; 1 is up to 7 grey levels.
    charging
        Strength of the bright stripe and of the dark smears in resin.
    resin_tone
        How much brighter some regions of resin are; below 0 they are darker, and hold the
        smears.
    inverted
        Bright where it is dark otherwise, as other detectors show it; never drawn.
    overwrite
        Replace what volproc made there otherwise.
    cluster
        Who does the work, or a Dask client of your own; by default this machine.
    watchers
        Called with every event of the run.
    progress
        Show how far it is, in a terminal or a notebook.

    Returns
    -------
    Any
        A row for each nucleus: its id, volume and centre.

    Raises
    ------
    VolprocError
        One line: the value, what was expected, the way out. Nothing is lost.
    """

def ingest(
    source: str | Path,
    out: str | Path,
    options: IngestOptions | None = None,
    *,
    fetch: FetchOptions | None = None,
    voxel_nm: Sequence[float] | None = None,
    position_nm: Sequence[float] | None = None,
    box: str = "",
    match_slices: bool = False,
    labels: bool = False,
    missing: Literal["refuse", "repeat", "blank"] = "refuse",
    unequal: Literal["refuse", "pad"] = "refuse",
    times: Literal["refuse", "slices"] = "refuse",
    nan: float | None = None,
    channel: int | None = None,
    axes: str = "",
    dtype: Literal["keep", "uint8"] = "keep",
    grey_range: Sequence[float] | None = None,
    ome_zarr: Literal["0.5", "0.4"] = "0.5",
    changed: Literal["refuse", "redo"] = "refuse",
    keep: bool = True,
    pattern: Sequence[str] = (),
    folder: str = "",
    connections: int = 6,
    tries: int = 8,
    timeout_s: float = 60.0,
    api: str = "https://www.ebi.ac.uk/empiar/api/entry/",
    archive: str = "https://ftp.ebi.ac.uk/empiar/world_availability/",
    overwrite: bool = False,
    cluster: ClusterOptions | Client | None = None,
    watchers: Sequence[Watcher] = (),
    progress: bool = True,
) -> Volume:
    """Turn files into an OME-Zarr volume with its pyramid.

    Parameters
    ----------
    source
        A file, a folder of slices, a URL of either, or EMPIAR-NUMBER.
    out
        The volume.
    options
        `IngestOptions`; keywords below go over it.
    voxel_nm
        Voxel size in nm (z, y, x), where the files do not state it or state it wrongly.
    position_nm
        Position of the first voxel's centre in nm (z, y, x), where the files do not state
        it or state it wrongly; 0 0 0 for none.
    box
        Read and convert this part only: voxels ("0:64,0:512,0:512"), lengths from the
        corner ("0:2um,0:5um,0:5um"), or a size in the middle ("512"). It stays where it
        was.
    match_slices
        Bring every slice to the volume's mean and spread, where slices were stretched one
        by one.
    labels
        The files hold labels, not an image: the pyramid takes the most frequent value, no
        mean.
    missing
        What becomes of a gap in the slices' numbers: the slice before again, or voxels of
        0.
    unequal
        Slices of unequal size: pad adds voxels of 0 below and right, up to the largest.
    times
        Time points of a TIFF: slices, where a program (ImageJ) counted slices as frames.
    nan
        What voxels that are not a number (NaN) become; by default they are refused.
    channel
        Which channel of an array that has several, counted from 0.
    axes
        Axes of an HDF5, Zarr or N5 array, slowest first (such as xyz), where their names
        are missing or wrong.
    dtype
        uint8 maps grey values to 0 to 255, with the same two constants for the whole
        volume.
    grey_range
        Grey values that become 0 and 255; by default the 0.1 and 99.9 percentiles of a
        sample.
    ome_zarr
        Version of OME-Zarr: 0.5 (zarr 3, sharded), or 0.4 (zarr 2) for older viewers.
    changed
        What to do where the output was begun from files that have changed since.
    keep
        Keep the files of an EMPIAR entry once they are converted; no saves the space they
        take.
    pattern
        Shell patterns on the paths of the entry ("data/ROI_01/*.dm4"); all files if empty.
    folder
        Where the files of an entry lie while it is ingested; by default
        OUT.zarr.volproc/files.
    connections
        Files in transfer at once; more than 10 are not polite.
    tries
        Attempts per file that bring nothing new; each goes on from there, after a longer
        pause.
    timeout_s
        Seconds without a byte after which a connection is given up; s.
    api
        Where entries are described.
    archive
        Where the files lie: https:// or ftp://.
    overwrite
        Replace what volproc made there otherwise.
    cluster
        Who does the work, or a Dask client of your own; by default this machine.
    watchers
        Called with every event of the run.
    progress
        Show how far it is, in a terminal or a notebook.

    Returns
    -------
    Volume
        The finished volume.

    Raises
    ------
    VolprocError
        One line: the value, what was expected, the way out. Nothing is lost.
    """

def filter(
    image: str | Path | Volume,
    out: str | Path,
    options: FilterOptions | None = None,
    *,
    steps: Sequence[str] = (),
    box: str = "",
    voxel_nm: Sequence[float] | None = None,
    block: Sequence[int] | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    overwrite: bool = False,
    cluster: ClusterOptions | Client | None = None,
    watchers: Sequence[Watcher] = (),
    progress: bool = True,
) -> Volume:
    """Filter an image's grey values before a network sees them: median, gaussian, and so on.

    Parameters
    ----------
    image
        The image.
    out
        The filtered image.
    options
        `FilterOptions`; keywords below go over it.
    steps
        Operations, applied in order: "median WIDTH", "gaussian SIGMA", "unsharp SIGMA
        amount=1", "destripe WIDTH length=LENGTH axis=y"; lengths in nm, or with a unit.
    box
        Filter this part only: voxels ("0:64,0:512,0:512"), lengths ("0:2um,0:5um,0:5um"),
        or a size in the middle ("512"). What is around it is read too.
    voxel_nm
        Voxel size of the image in nm (z, y, x), where its metadata lacks it.
    block
        Voxels of one task, a shard of the output; by default about 64 MB.
    device
        Where it is computed. cuda: on a GPU by cupy, which needs the extra gpu (or gpu13
        for CUDA 13); means may differ in the last bit of a float, medians do not. Not
        measured yet.
    overwrite
        Replace what volproc made there otherwise.
    cluster
        Who does the work, or a Dask client of your own; by default this machine.
    watchers
        Called with every event of the run.
    progress
        Show how far it is, in a terminal or a notebook.

    Returns
    -------
    Volume
        The filtered image, on the same grid.

    Raises
    ------
    VolprocError
        One line: the value, what was expected, the way out. Nothing is lost.
    """

def subjects(
    image: str | Path | Volume,
    out: str | Path,
    options: SubjectsOptions | None = None,
    *,
    rois: Sequence[Sequence[int]] = (),
    rois_file: str = "",
    rois_first: int = 0,
    roi: Sequence[int] = (50, 2000, 2000),
    frames: int = 5,
    every: int = 1,
    format: Literal["jpeg", "png"] = "jpeg",
    scale: float = 1.0,
    largest_bytes: int = 1000000,
    attribution: str = "",
    overwrite: bool = False,
    cluster: ClusterOptions | Client | None = None,
    watchers: Sequence[Watcher] = (),
    progress: bool = True,
) -> str:
    """Cut slices for volunteers, with the manifest.csv of a Zooniverse subject set.

    Parameters
    ----------
    image
        The image.
    out
        The folder of the slices.
    options
        `SubjectsOptions`; keywords below go over it.
    rois
        Regions (z, y, x of the first voxel, then their lengths); tiled over the volume if
        empty.
    rois_file
        A CSV with columns z, y, x, depth, height, width that lists them, the most wanted
        first.
    rois_first
        Of the regions in that file, the first so many; 0 is all.
    roi
        Voxels (z, y, x) of a region where the volume is tiled.
    frames
        Slices shown with a subject, the one to draw on in the middle; near the ends of a
        region they are shifted rather than fewer, and it is not in the middle there.
    every
        One subject for every so many slices.
    format
        Of the images.
    scale
        Size of the images over that of the slices; 0.5 halves it.
    largest_bytes
        Of one image; the quality is lowered until it fits. Zooniverse takes up to 1 MiB.
    attribution
        Whose images they are, shown to volunteers.
    overwrite
        Replace what volproc made there otherwise.
    cluster
        Who does the work, or a Dask client of your own; by default this machine.
    watchers
        Called with every event of the run.
    progress
        Show how far it is, in a terminal or a notebook.

    Returns
    -------
    str
        The path of manifest.csv.

    Raises
    ------
    VolprocError
        One line: the value, what was expected, the way out. Nothing is lost.
    """

def crowd(
    ground_truth: str | Path | Volume,
    out: str | Path,
    options: CrowdOptions | None = None,
    *,
    volunteers: int = 21,
    crowd: Literal["clean", "typical", "bad"] = "typical",
    classifier: Literal[1, 2] = 2,
    seed: int = 0,
    slices: Sequence[int] | None = None,
    labels: Sequence[int] = (),
    scale: float = 0.5,
    overwrite: bool = False,
    cluster: ClusterOptions | Client | None = None,
    watchers: Sequence[Watcher] = (),
    progress: bool = True,
) -> CrowdSummary:
    """Simulate volunteers who draw the objects of a label volume, as a Zooniverse export.

    Parameters
    ----------
    ground_truth
        The labels they draw.
    out
        The classification export.
    options
        `CrowdOptions`; keywords below go over it.
    volunteers
        Who look at each slice.
    crowd
        How well they draw.
    classifier
        Version of Zooniverse's classifier whose export is written.
    seed
        Same seed, same drawings.
    slices
        These z slices only: first, and one past the last.
    labels
        Label values that are the object; all but 0 if empty.
    scale
        Size of the images that they see over that of the slices.
    overwrite
        Replace what volproc made there otherwise.
    cluster
        Who does the work, or a Dask client of your own; by default this machine.
    watchers
        Called with every event of the run.
    progress
        Show how far it is, in a terminal or a notebook.

    Returns
    -------
    CrowdSummary
        How many classifications and strokes were drawn.

    Raises
    ------
    VolprocError
        One line: the value, what was expected, the way out. Nothing is lost.
    """

def annotate(
    export: str | Path,
    image: str | Path | Volume | None,
    out: str | Path,
    options: AnnotateOptions | None = None,
    *,
    method: Literal["cria", "cria-2021", "majority", "em", "rasa", "staple"] = "cria",
    workflow: Sequence[int] = (),
    workflow_version: Sequence[str] = (),
    task: Sequence[str] = (),
    tool: Sequence[int] = (),
    bezier_tools: Sequence[int] = (),
    frames: Literal["shown", "all"] = "shown",
    subject_name: str = "Subject ID",
    frame_name: str = "Image {frame}",
    frame_pattern: str = "(?P<roi>.+)_z(?P<slice>\\d+)\\.\\w+",
    first_slice: int = 1,
    rois: Sequence[str] = (),
    manifest: str = "",
    duplicates: Literal["first", "last"] = "first",
    envelope_nm: float = 70.0,
    close_nm: float = 1000.0,
    min_votes: int = 3,
    skills: bool = True,
    along_z: bool = False,
    voxel_nm: Sequence[float] | None = None,
    ground_truth: str = "",
    ground_truth_labels: Sequence[int] = (),
    compare: bool = False,
    levels: bool = False,
    block_slices: int = 16,
    overwrite: bool = False,
    cluster: ClusterOptions | Client | None = None,
    watchers: Sequence[Watcher] = (),
    progress: bool = True,
) -> AnnotateResult:
    """Turn volunteers' drawings into labels, with a page that says how good they are.

    Parameters
    ----------
    export
        The classification export of Zooniverse.
    image
        What they drew on; the word none (in Python None) where it is not at hand: then
        regions are laid out one after the other along z.
    out
        The labels.
    options
        `AnnotateOptions`; keywords below go over it.
    method
        How the drawings on a slice become one: cria is ours, cria-2021 the published one.
    workflow
        Workflow numbers to read from the export; all if empty.
    workflow_version
        Workflow versions to read, as "4.4", or "4" for all of 4; all if empty.
    task
        Tasks that hold drawings, as "T0"; all that hold any if empty.
    tool
        Numbers of the drawing tools to read; all if empty.
    bezier_tools
        Numbers of classifier 1's tools that draw Bezier curves: exports do not tell them
        apart.
    frames
        Drawings on the frame that was shown, or on all frames of a subject.
    subject_name
        Key of the subject's metadata that names it.
    frame_name
        Key of the metadata that holds a frame's file name; {frame} counts from 0.
    frame_pattern
        How a frame's file name tells the region and the slice.
    first_slice
        The number in the file names that is the region's first slice.
    rois
        Regions to read; all if empty.
    manifest
        manifest.csv of `volproc subjects`: where regions lie in the volume.
    duplicates
        Which counts of several classifications of one subject by one person.
    envelope_nm
        Width of the envelope that is drawn along the outline; nm.
    close_nm
        cria: stroke ends farther apart than this are not joined by a straight line; nm.
    min_votes
        Slices on which fewer looked are marked to be ignored.
    skills
        cria: weigh each volunteer by how well they agree with the others on many slices.
    along_z
        Replace a slice on which the crowd failed by what its neighbours say.
    voxel_nm
        Voxel size in nm (z, y, x), where there is no image and the export does not state
        it.
    ground_truth
        Expert labels of the image's voxel size (OME-Zarr): labels are scored where they
        cover it.
    ground_truth_labels
        Label values of the truth that are the object; all but 0 if empty.
    compare
        Try all methods and show them in one table: scores with a truth, else how far they
        agree.
    levels
        Also draw each slice with the lines "at least k volunteers inside", as SVG files.
    block_slices
        Slices one task works on: fewer take less memory, more make fewer and larger files.
    overwrite
        Replace what volproc made there otherwise.
    cluster
        Who does the work, or a Dask client of your own; by default this machine.
    watchers
        Called with every event of the run.
    progress
        Show how far it is, in a terminal or a notebook.

    Returns
    -------
    AnnotateResult
        Labels, envelope, agreement, what to ignore, scores, and a quality page.

    Raises
    ------
    VolprocError
        One line: the value, what was expected, the way out. Nothing is lost.
    """

def train(
    options: TrainOptions | None = None,
    *,
    name: str = "model",
    classes: Sequence[str] = ("nucleus",),
    model_out: str = "model",
    images: Sequence[str] = (),
    labels: Sequence[str] = (),
    ignore: Sequence[str] = (),
    agreement: Sequence[str] = (),
    agreement_as: Literal["nothing", "weights", "labels"] = "nothing",
    weights: Sequence[float] = (),
    validation_images: Sequence[str] = (),
    validation_labels: Sequence[str] = (),
    data: Sequence[DataOptions] = (),
    validation: Sequence[DataOptions] = (),
    margin_nm: float = 0.0,
    targets: Mapping[str, TargetOptions] = ...,
    voxel_nm: Sequence[float] = (50.0, 50.0, 50.0),
    axes: Literal["auto", "z", "y", "x", "zy", "zx", "yx", "zyx"]
    | Mapping[Literal["z", "y", "x"], float] = "auto",
    cache_gb: float = 2.0,
    slices_in: int = 12,
    slices_out: int = 8,
    network: Literal["unet", "etchacell"] = "unet",
    widths: Sequence[int] = (28, 48, 80, 112),
    stem: int = 2,
    convs_down: int = 2,
    convs_up: int = 1,
    block: Literal["plain", "residual", "separable"] = "plain",
    skips: Literal["concat", "add"] = "add",
    towers: int = 32,
    levels: int = 5,
    start_from: str = "",
    freeze: Literal["nothing", "encoder", "body"] = "nothing",
    few: bool = False,
    patch: int = 192,
    batch: int = 8,
    steps: int = 3000,
    learning_rate: float = 0.002,
    border_weight: float = 0.0,
    boundary_loss: float = 0.0,
    border_nm: float = 0.0,
    augmentation: AugmentationOptions = ...,
    seed: int = 0,
    checkpoint_steps: int = 100,
    validate_steps: int = 500,
    tolerance_nm: float = 0.0,
    best_by: Literal["dice", "boundary_f", "pq"] = "boundary_f",
    keep: Literal["best", "last"] = "best",
    patience: int = 0,
    calibrate: bool = True,
    tensorboard: bool = False,
    processes: int = 0,
    compiled: bool = False,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    licence: str = "",
    purpose: str = "",
    limits: str = "",
    notes: str = "",
    trained_on: Sequence[TrainedOnOptions] = (),
    overwrite: bool = False,
    cluster: ClusterOptions | Client | None = None,
    watchers: Sequence[Watcher] = (),
    progress: bool = True,
) -> Card:
    """Train a model from images and their labels, or go on training it.

    Parameters
    ----------
    options
        `TrainOptions`; keywords below go over it.
    name
        Name on the card.
    classes
        What the network learns to find, such as ["membrane", "mitochondrion"].
    model_out
        Folder of the model, and of the checkpoints to go on from.
    images
        OME-Zarr images.
    labels
        OME-Zarr label volumes, one per image; all but 0 is the class unless targets say
        else.
    ignore
        Label volumes, one per image ("" for none): voxels that are not 0 there carry no
        loss.
    agreement
        Volumes of 0 to 255, one per image ("" for none): the share of people who say
        "inside".
    agreement_as
        What agreement is used for: weights of the loss (0 where people tie), soft labels
        (which did worse where they were compared, docs/crowd.md), or nothing.
    weights
        How often patches come from each image, relative to the others; equally often if
        empty.
    validation_images
        Images the network is scored on but never learns from.
    validation_labels
        Their label volumes.
    data
        More images with their labels, one table [[train.data]] each: labels per class,
        boxes.
    validation
        More images, or boxes of images, to score on: one table [[train.validation]] each.
    margin_nm
        What is trained on keeps so far away from boxes of the same image that are scored
        on.
    targets
        What is made of the labels of a class, [train.targets.CLASS]: membranes from bodies,
        say.
    voxel_nm
        Voxel size in nm (z, y, x) at which the network sees the images; one number for all
        axes.
    axes
        Axes that patches are viewed along, or the share of each: "zyx", {z = 0.5, y = 0.25,
        x = 0.25}. auto takes z alone where voxels are at least 3 times as long along z, or
        an image has too few sections for a patch, else all three.
    cache_gb
        Memory in GB for images and labels. What has more is read in regions, a few at a
        time.
    slices_in
        Neighbouring planes the network reads.
    slices_out
        Planes it answers: the central ones.
    network
        A U-Net, or the published network of Etch-a-Cell (12 slices in and out).
    widths
        Channels per level of the U-Net, finest first.
    stem
        Pixels of a side that become channels before the U-Net's first convolution; 1 for
        none.
    convs_down
        Convolutions per level of the U-Net's encoder.
    convs_up
        Convolutions per level of the U-Net's decoder.
    block
        The U-Net's convolutions: plain, residual, or separable (a fifth of the work).
    skips
        Whether the U-Net's decoder takes the encoder's planes beside its own, or added to
        them.
    towers
        Channels of a tower of Etch-a-Cell's network, at the finest level.
    levels
        Levels of Etch-a-Cell's network.
    start_from
        A model to go on from: a folder or a shipped name; none if empty. Its network and
        voxel size are taken where these options are not given. The outputs of classes that
        it has are kept.
    freeze
        What learns nothing of a model that is gone on from: encoder, or body (all but the
        head).
    few
        For 5 to 20 annotated slices: goes on from a shipped model, with few and small
        steps, unless options say otherwise.
    patch
        Pixels of a side of the training patches, a multiple of the network's stride.
    batch
        Patches per step.
    steps
        Steps of the optimiser.
    learning_rate
        The highest one; it falls along a half cosine to 0 at the last step.
    border_weight
        How much more voxels near a border of objects count in the loss.
    boundary_loss
        What 1 - the F score of soft boundaries (Bokhovkin and Burnaev 2019) counts in the
        loss, beside cross entropy and Dice that count 1 each.
    border_nm
        How near to a border is near, and how far apart boundaries still agree, in nm; 0 is
        two voxels.
    augmentation
        How patches are changed before the network learns from them.
    seed
        Same seed, data, kind of device and versions of libraries: same weights.
    checkpoint_steps
        Steps between checkpoints.
    validate_steps
        Steps between scores on the validation images.
    tolerance_nm
        Distance within which surfaces agree in these scores; 0 is two voxels.
    best_by
        The score by which a network is better than another: of the votes of all axes,
        fused, the mean over the classes.
    keep
        Whether the model is the best one that validation saw, or that of the last step.
    patience
        Validations without a better score after which training ends early; 0 for never.
    calibrate
        Fit a temperature for each class on the validation images, so that of the voxels
        predicted with 0.8 about 80% are right.
    tensorboard
        Also write TensorBoard's files; needs volproc[tensorboard].
    processes
        Processes that share each batch; 0 is one per GPU of the worker, and one without a
        GPU.
    compiled
        Compile the network by torch.compile: takes minutes at first.
    device
        Where it trains; auto takes a GPU if there is one.
    licence
        Terms of the weights, for the card.
    purpose
        What the model is for, in a line, for the card.
    limits
        Where it fails, for the card.
    notes
        What a user of the model should know, for the card.
    trained_on
        The data and their terms, for the card.
    overwrite
        Replace what volproc made there otherwise.
    cluster
        Who does the work, or a Dask client of your own; by default this machine.
    watchers
        Called with every event of the run.
    progress
        Show how far it is, in a terminal or a notebook.

    Returns
    -------
    Card
        The card of the trained model.

    Raises
    ------
    VolprocError
        One line: the value, what was expected, the way out. Nothing is lost.
    """

def predict(
    image: str | Path | Volume,
    out: str | Path,
    options: PredictOptions | None = None,
    *,
    votes: str | Path | None = None,
    model: str = "nuclei-50nm",
    card: str = "",
    trust_model: bool = False,
    voxel_nm: Sequence[float] | None = None,
    box: str = "",
    mask: str = "",
    classes: Sequence[str] = (),
    axes: Literal["model", "z", "y", "x", "zy", "zx", "yx", "zyx"] = "model",
    fusion: Literal["model", "union", "majority", "mean", "max", "weighted"] = "model",
    weights: Sequence[float] = (1.0, 1.0, 1.0),
    threshold: float = 0.5,
    match_greys: bool = False,
    flips: bool = False,
    center_planes: int = 0,
    halo: Literal["exact", "reference"] | int = "exact",
    skip_empty_std: float = 0.0,
    agreement: bool = False,
    disagreement: bool = False,
    regions_um: Sequence[float] | None = None,
    image_grid: bool = False,
    seam_check: int = 0,
    tile: Sequence[int] | None = None,
    block: Sequence[int] | None = None,
    batch: int = 0,
    compiled: bool = False,
    precision: Literal["float32", "int8"] = "float32",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    overwrite: bool = False,
    cluster: ClusterOptions | Client | None = None,
    watchers: Sequence[Watcher] = (),
    progress: bool = True,
) -> Volume:
    """Predict with a model along up to three axes, and fuse their votes.

    Parameters
    ----------
    image
        The image.
    out
        The fused prediction.
    votes
        Also write each axis' probability there.
    options
        `PredictOptions`; keywords below go over it.
    model
        A model folder (weights.safetensors and card.json), the name of a shipped model, or
        what others made: a bioimage.io package (folder or .zip), .onnx, .pt2 or
        TorchScript.
    card
        A TOML file with what another's model does not say itself; NAME.toml beside it if
        empty.
    trust_model
        Run the program that a model of TorchScript or .pt2 is: only if you trust its maker.
    voxel_nm
        Voxel size of the image in nm (z, y, x), where its metadata lacks it.
    box
        Predict in this part of the image only: voxels ("0:64,0:512,0:512"), lengths
        ("0:2um,0:5um,0:5um"), or a size in the middle ("512"). What is around it is read
        too.
    mask
        Predict only where this volume (OME-Zarr, any grid) is not 0; elsewhere the result
        is 0.
    classes
        Of the classes that the model predicts, those to write; empty is all.
    axes
        Axes to look along; model: those that its card names, zyx if it names none.
    fusion
        union, majority, mean, max or weighted mean of the axes' votes; model: as its card
        says, mean if it says nothing.
    weights
        What the votes of z, y and x count for (fusion weighted), relative to one another.
    threshold
        Probability from which an axis votes yes (union and majority).
    match_greys
        Give the image the distribution of grey values that the model learnt from, if its
        card states it: for images of another contrast.
    flips
        Average each axis' probability over the plane's four mirror images: 4 times the
        work.
    center_planes
        Of the planes the network answers at once, the central ones that count; 0 is all.
    halo
        exact is what the model sees, reference the published overlap (256 pixels keep 128,
        half of the planes), a number is pixels of context on each side.
    skip_empty_std
        Blocks whose image, seen coarsely, spans less than this many standard deviations of
        the volume are taken to hold nothing; 0 looks at all.
    agreement
        From the votes, write how many axes say yes (0 to 3).
    disagreement
        From the votes, write how far the axes are apart (0 to 255).
    regions_um
        From the votes, rank regions of this size (z, y, x; µm) by how far the axes are
        apart.
    image_grid
        Also write the prediction on the image's own grid (of union and majority: from the
        votes).
    seam_check
        Places that are predicted again with other tiles, and compared; 0 is none.
    tile
        Voxels (at the model's voxel size) the network answers at once per axis; chosen to
        suit.
    block
        Voxels (at the model's voxel size) one task writes; by default one tile.
    batch
        Tiles in one call of the network; 0 is 1 on a CPU (measured best there), and on a
        GPU as many as its memory holds, up to 4 Mpixel. Fewer are tried, and then halves of
        tiles, where that proves too many.
    compiled
        Compile the network by torch.compile, on a GPU once for tiles of all sizes: takes a
        minute or more on each worker. No faster on a CPU; not measured on a GPU.
    precision
        int8: a model's quantised weights, by OpenVINO, on CPUs only; the same bits on every
        CPU. `volproc models quantise` makes them.
    device
        Where the network runs; auto takes a GPU if there is one.
    overwrite
        Replace what volproc made there otherwise.
    cluster
        Who does the work, or a Dask client of your own; by default this machine.
    watchers
        Called with every event of the run.
    progress
        Show how far it is, in a terminal or a notebook.

    Returns
    -------
    Volume
        The fused prediction: uint8, 255 is certain, at the model's voxel size.

    Raises
    ------
    VolprocError
        One line: the value, what was expected, the way out. Nothing is lost.
    """

def interior(
    envelope: str | Path | Volume,
    out: str | Path,
    options: InteriorOptions | None = None,
    *,
    object_class: str = "",
    threshold: float = 0.5,
    gap_nm: float = 600.0,
    reach_nm: float = 1000.0,
    volume: bool = True,
    axes: Literal["", "z", "y", "x", "zy", "zx", "yx", "zyx"] = "z",
    votes: int | None = None,
    open_share: float = 0.65,
    max_volume_um3: float = 3000.0,
    min_volume_um3: float = 1.25,
    envelope_nm: float = 250.0,
    block: Sequence[int] | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    overwrite: bool = False,
    cluster: ClusterOptions | Client | None = None,
    watchers: Sequence[Watcher] = (),
    progress: bool = True,
) -> Volume:
    """Fill what an envelope encloses: numbered nuclei, each with its envelope.

    Parameters
    ----------
    envelope
        The envelope.
    out
        The nuclei, as labels.
    options
        `InteriorOptions`; keywords below go over it.
    object_class
        Of a prediction of several classes, that which is the envelope.
    threshold
        Probability from which a voxel is envelope.
    gap_nm
        Holes in the envelope up to this wide are bridged: only what is deeper inside than
        half of it is sought, and grows back to the envelope; nm. With 0 what is enclosed is
        filled as it is.
    reach_nm
        How far the inside grows back, along ways that do not cross the envelope; at least
        `gap_nm` is taken; nm.
    volume
        Fill the volume as a whole; one vote on what is inside.
    axes
        Also fill slices across these axes, a vote each; z where people draw outlines in
        slices, which stay open between them.
    votes
        How many must say that a voxel is inside; by default at least half: of two, either.
    open_share
        An interior has at most this share of its surface on the volume's border, where it
        is cut.
    max_volume_um3
        Larger regions are not interiors: the outside that is left of a leak; um³.
    min_volume_um3
        Smaller interiors are dropped; um³, without the envelope.
    envelope_nm
        Envelope within this distance of an interior belongs to the nearest; nm.
    block
        Voxels of one task; by default 16 million.
    device
        Where distances and growth are computed, with the same bits. cuda: on a GPU by cupy,
        which needs the extra gpu (or gpu13 for CUDA 13); not measured yet.
    overwrite
        Replace what volproc made there otherwise.
    cluster
        Who does the work, or a Dask client of your own; by default this machine.
    watchers
        Called with every event of the run.
    progress
        Show how far it is, in a terminal or a notebook.

    Returns
    -------
    Volume
        The nuclei, numbered, each with its envelope.

    Raises
    ------
    VolprocError
        One line: the value, what was expected, the way out. Nothing is lost.
    """

def label(
    mask: str | Path | Volume,
    out: str | Path,
    options: LabelOptions | None = None,
    *,
    image_grid: str | Path | Volume | None = None,
    input: Literal["mask", "classes", "labels"] = "mask",
    object_class: str = "",
    connectivity: Literal[6, 18, 26] = 26,
    threshold: float = 0.5,
    min_volume_um3: float = 1.25,
    max_volume_um3: float | None = None,
    border: Literal["keep", "drop"] = "keep",
    largest: int | None = None,
    min_extent_nm: Sequence[float] = (0.0, 0.0, 0.0),
    max_extent_nm: Sequence[float] | None = None,
    max_elongation: float | None = None,
    keep_ids: bool = False,
    block: Sequence[int] | None = None,
    overwrite: bool = False,
    cluster: ClusterOptions | Client | None = None,
    watchers: Sequence[Watcher] = (),
    progress: bool = True,
) -> LabelResult:
    """Number connected components and list them in a table.

    Parameters
    ----------
    mask
        A mask, a probability, or labels.
    image_grid
        Also write the labels on this image's grid.
    out
        The objects.
    options
        `LabelOptions`; keywords below go over it.
    input
        mask: foreground that touches is one object. classes: only equal values connect.
        labels: equal values are one object wherever they are; for filtering and
        renumbering.
    object_class
        Of a prediction of several classes, that whose objects are labelled. Without it,
        input = "classes" gives each voxel to its likeliest class, and the table names the
        class of each object; a run does so by itself.
    connectivity
        Which voxels are neighbours: 6 share a face, 18 also an edge, 26 also a corner.
    threshold
        Probability from which a voxel is foreground.
    min_volume_um3
        Smaller objects are dropped; um³.
    max_volume_um3
        Larger objects are dropped; um³.
    border
        What becomes of objects that touch the volume's border, and so may be cut.
    largest
        Keep only so many, the largest of those that all else keeps.
    min_extent_nm
        Objects whose bounding box is shorter along an axis are dropped; nm, z y x.
    max_extent_nm
        Objects whose bounding box is longer along an axis are dropped; nm, z y x.
    max_elongation
        More elongated objects are dropped: longest over shortest axis of the ellipsoid that
        has the same moments, 1 for a ball.
    keep_ids
        Objects keep the ids of the input instead of being numbered 1 to n; for input =
        labels.
    block
        Voxels one task labels; by default one shard of the output.
    overwrite
        Replace what volproc made there otherwise.
    cluster
        Who does the work, or a Dask client of your own; by default this machine.
    watchers
        Called with every event of the run.
    progress
        Show how far it is, in a terminal or a notebook.

    Returns
    -------
    LabelResult
        The labels, their table, and how many objects were kept and dropped.

    Raises
    ------
    VolprocError
        One line: the value, what was expected, the way out. Nothing is lost.
    """

def doubt(
    labels: str | Path | Volume,
    out: str | Path,
    options: DoubtOptions | None = None,
    *,
    votes: str | Path | Volume | None = None,
    prediction: str | Path | Volume | None = None,
    object_class: str = "",
    threshold: float = 0.5,
    doubt_model: str = "",
    overwrite: bool = False,
    cluster: ClusterOptions | Client | None = None,
    watchers: Sequence[Watcher] = (),
    progress: bool = True,
) -> DoubtResult:
    """Say how probable it is that each object is right, and why not; without a ground truth.

    Parameters
    ----------
    labels
        The objects.
    votes
        The axes' votes.
    prediction
        The probability, where there are no votes.
    out
        What was found out, as JSON.
    options
        `DoubtOptions`; keywords below go over it.
    object_class
        Of votes or a prediction of several classes, that whose objects are judged.
    threshold
        Vote from which an axis says yes: that with which the objects were labelled, in a
        run by default that of [label].
    doubt_model
        A doubt model (doubt.json); by default that of the model that predicted, else a
        general one.
    overwrite
        Replace what volproc made there otherwise.
    cluster
        Who does the work, or a Dask client of your own; by default this machine.
    watchers
        Called with every event of the run.
    progress
        Show how far it is, in a terminal or a notebook.

    Returns
    -------
    DoubtResult
        A probability and a reason for each object, and scores to be expected.

    Raises
    ------
    VolprocError
        One line: the value, what was expected, the way out. Nothing is lost.
    """

def measure(
    labels: str | Path | Volume,
    out: str | Path,
    options: MeasureOptions | None = None,
    *,
    image: str | Path | Volume | None = None,
    votes: str | Path | Volume | None = None,
    smooth_nm: float | None = None,
    mesh_voxel_nm: float | None = None,
    closed: bool = True,
    meshes: Literal["ply", "obj", "glb", "precomputed"] | Literal["none"] = "none",
    mesh_error_nm: float = 25.0,
    mesh_ids: Sequence[int] = (),
    object_class: str = "",
    threshold: float = 0.5,
    parquet: bool = False,
    properties: bool = True,
    overwrite: bool = False,
    cluster: ClusterOptions | Client | None = None,
    watchers: Sequence[Watcher] = (),
    progress: bool = True,
) -> MeasureResult:
    """Measure labelled objects: a table of volumes, surfaces and shapes, and their meshes.

    Parameters
    ----------
    labels
        The objects.
    image
        Also the mean intensity of each object.
    votes
        Also how far the axes agree on each object.
    out
        The folder of tables and meshes.
    options
        `MeasureOptions`; keywords below go over it.
    smooth_nm
        How far surfaces are smoothed, which takes the steps of voxels off them: sigma of a
        Gaussian; nm; by default the longest edge of a voxel.
    mesh_voxel_nm
        Make surfaces of the finest level whose voxels are at least so long; nm. By default
        of the finest with voxels up to twice as long as wide.
    closed
        Meshes of objects that the volume's border cuts end there in a flat cut; else they
        are open.
    meshes
        Write each object's mesh: as a file of its own (PLY, OBJ, GLB), or as neuroglancer
        reads them (precomputed: with several resolutions). Needs the extra mesh.
    mesh_error_nm
        Meshes are simplified as far as no vertex is farther from the full mesh, nor one of
        its from them; nm. 0: they are not simplified, which needs no extra.
    mesh_ids
        Meshes of these objects only; all if empty.
    object_class
        Of votes for several classes, those that the agreement is of.
    threshold
        Vote from which an axis says yes, for the agreement.
    parquet
        Also write objects.parquet; needs the extra parquet.
    properties
        Also write a few columns into the labels' own metadata, where viewers look for them.
    overwrite
        Replace what volproc made there otherwise.
    cluster
        Who does the work, or a Dask client of your own; by default this machine.
    watchers
        Called with every event of the run.
    progress
        Show how far it is, in a terminal or a notebook.

    Returns
    -------
    MeasureResult
        The table of the objects, and their meshes.

    Raises
    ------
    VolprocError
        One line: the value, what was expected, the way out. Nothing is lost.
    """

def evaluate(
    result: str | Path | Volume,
    ground_truth: str | Path | Volume | None = None,
    options: EvaluateOptions | None = None,
    *,
    image: str | Path | Volume | None = None,
    out: str | Path | None = None,
    csv: str | Path | None = None,
    page: str | Path | None = None,
    ground_truth_labels: Sequence[int] = (),
    object_class: str = "",
    classes: Sequence[str] = (),
    slices: Sequence[int] | None = None,
    threshold: float = 0.5,
    ignore: str = "",
    surfaces: Literal["3d", "2d", "both", "none"] = "3d",
    tolerances_nm: Sequence[float] = (50.0, 100.0),
    most_distance_nm: float = 500.0,
    objects: bool = True,
    reference: bool = False,
    votes_in_full: bool = False,
    device: Literal["cpu", "cuda"] = "cpu",
    overwrite: bool = False,
    cluster: ClusterOptions | Client | None = None,
    watchers: Sequence[Watcher] = (),
    progress: bool = True,
) -> Scores:
    """Score a result (a mask, labels, a probability, or votes) against a label volume.

    Parameters
    ----------
    result
        What is scored.
    ground_truth
        The ground truth: labels.
    image
        The image, shown on the page.
    out
        Write all scores there, as JSON.
    csv
        Write all rows there, as CSV.
    page
        Write a page there, with the worst places.
    options
        `EvaluateOptions`; keywords below go over it.
    ground_truth_labels
        Label values that count as foreground; all but 0 if empty.
    object_class
        Of a prediction of several classes, or of votes for them, the one that is scored;
        its values in the ground truth are ground_truth_labels. Of several at once: classes.
    classes
        Classes to be scored one by one, each "NAME=VALUE" or "NAME=VALUE,VALUE", such as
        "nucleus=1,2": these values of the ground truth against the result's channel of that
        name, or against the same values in a result of labels. Instead of
        ground_truth_labels.
    slices
        Score these z slices of the ground truth only: first, and one past the last.
    threshold
        Probability from which a voxel counts as foreground.
    ignore
        A mask on the grid of the ground truth (`volproc annotate` writes one): voxels that
        are not 0 there are not scored.
    surfaces
        Compare surfaces in space, outlines slice by slice, both, or neither. Of a single
        slice, "3d" is "2d".
    tolerances_nm
        Distances within which surfaces agree: NSD and boundary F are given for each; nm.
    most_distance_nm
        Distances between surfaces that are larger count as this; nm. Blocks read so much
        around them, so time and memory grow with it.
    objects
        Also score objects (PQ, VOI, Rand, splits, merges) where both sides are labels.
    reference
        Also score as the published code did: average Hausdorff distance over all pixels of
        the masks, in pixels, slices without one side left out.
    votes_in_full
        Also score surfaces, thresholds and objects of every vote and fusion that is not the
        result itself; else only their overlap.
    device
        Where distances between surfaces in space are found, to the same digits. cuda: on a
        GPU by cupy, which needs the extra gpu (or gpu13 for CUDA 13); not measured yet.
    overwrite
        Replace what volproc made there otherwise.
    cluster
        Who does the work, or a Dask client of your own; by default this machine.
    watchers
        Called with every event of the run.
    progress
        Show how far it is, in a terminal or a notebook.

    Returns
    -------
    Scores
        The scores, a row for each result.

    Raises
    ------
    VolprocError
        One line: the value, what was expected, the way out. Nothing is lost.
    """
