"""The options of [run]."""

from __future__ import annotations

from volproc.config.options import Crop, FilePath, Options


class RunOptions(Options):
    """What the whole run works on."""

    source: FilePath = ""
    """The image: a file, a folder of slices, a URL of either, an OME-Zarr, an EMPIAR accession."""
    folder: FilePath = "run"
    """Where everything is written: volumes, tables, the report, and the record of what is done. A
    path, or a URL: s3://bucket/run."""
    box: Crop = ""
    """Work on this part of the image only, for a first try: voxels ("0:64,0:512,0:512"), lengths
    ("0:2um,0:5um,0:5um"), or a size in the middle ("512"). The first stage of the run takes it that
    has a box: ingest, filter or predict."""
