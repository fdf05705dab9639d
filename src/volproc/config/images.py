"""Tables about images: where they come from, and made ones."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from volproc.config.filter_steps import FilterStep, parse_step
from volproc.config.options import Count, Crop, Fraction, Options, Positive, Triple, Voxels


class IngestOptions(Options):
    """From microscope files to OME-Zarr."""

    voxel_nm: Triple | None = None
    """Voxel size in nm (z, y, x), where the files do not state it or state it wrongly."""
    box: Crop = ""
    """Read and convert this part only: voxels ("0:64,0:512,0:512"), lengths from the corner
    ("0:2um,0:5um,0:5um"), or a size in the middle ("512"). It lies where it was."""
    match_slices: bool = False
    """Bring every slice to the volume's mean and spread, where slices were stretched one by one."""
    labels: bool = False
    """The files hold labels, not an image: the pyramid takes the most frequent value, no mean."""
    missing: Literal["refuse", "repeat", "blank"] = "refuse"
    """What becomes of a gap in the slices' numbers: the slice before again, or voxels of 0."""
    unequal: Literal["refuse", "pad"] = "refuse"
    """Slices of unequal size: pad adds voxels of 0 below and right, up to the largest."""
    times: Literal["refuse", "slices"] = "refuse"
    """Time points of a TIFF: slices, where a program (ImageJ) counted slices as frames."""
    nan: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """What voxels that are not a number (NaN) become; by default they are refused."""
    channel: Annotated[int, Field(ge=0)] | None = None
    """Which channel of an array that has several, counted from 0."""
    axes: Annotated[str, Field(pattern="^[zyxct]*$")] = ""
    """Axes of an HDF5, Zarr or N5 array, slowest first (such as xyz), where their names are missing
    or wrong."""
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


class FilterOptions(Options):
    """Grey values filtered before a network sees them."""

    steps: tuple[str, ...] = ()
    """Operations, applied in order: "median WIDTH", "gaussian SIGMA", "unsharp SIGMA amount=1",
    "destripe WIDTH length=LENGTH axis=y"; lengths in nm, or with a unit."""
    box: Crop = ""
    """Filter this part only: voxels ("0:64,0:512,0:512"), lengths ("0:2um,0:5um,0:5um"), or a size
    in the middle ("512"). What lies around it is looked at all the same."""
    voxel_nm: Triple | None = None
    """Voxel size of the image in nm (z, y, x), where its metadata lacks it."""
    block: Voxels | None = None
    """Voxels of one task, a shard of the output; by default about 64 MB."""

    @field_validator("steps")
    @classmethod
    def _are_operations(cls, steps: tuple[str, ...]) -> tuple[str, ...]:
        for step in steps:
            parse_step(step)
        return steps

    @property
    def operations(self) -> tuple[FilterStep, ...]:
        """The steps with their numbers."""
        return tuple(map(parse_step, self.steps))


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


class SubjectsOptions(Options):
    """Slices for volunteers."""

    rois: tuple[tuple[int, int, int, int, int, int], ...] = ()
    """Regions (z, y, x of the first voxel, then their lengths); tiled over the volume if empty."""
    rois_file: str = ""
    """A CSV with columns z, y, x, depth, height, width that lists them, the most wanted first."""
    rois_first: Annotated[int, Field(ge=0)] = 0
    """Of the regions in that file, the first so many; 0 is all."""
    roi: Voxels = (50, 2000, 2000)
    """Voxels (z, y, x) of a region where the volume is tiled."""
    frames: Annotated[int, Field(ge=1)] = 5
    """Slices shown with a subject, the one to draw on in the middle; near the ends of a region they
    are shifted rather than fewer, and it is not in the middle there."""
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
