"""[ingest], and [fetch]: from files to volumes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from volproc.config.options import Count, Crop, FilePath, Options, Positive, Triple


class IngestOptions(Options):
    """From microscope files to OME-Zarr."""

    voxel_nm: Triple | None = None
    """Voxel size in nm (z, y, x), where the files do not state it or state it wrongly."""
    position_nm: tuple[float, float, float] | None = None
    """Position of the first voxel's centre in nm (z, y, x), where the files do not state it or
    state it wrongly; 0 0 0 for none."""
    box: Crop = ""
    """Read and convert this part only: voxels ("0:64,0:512,0:512"), lengths from the corner
    ("0:2um,0:5um,0:5um"), or a size in the middle ("512"). It stays where it was."""
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
    folder: FilePath = ""
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
