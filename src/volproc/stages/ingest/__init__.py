"""Microscope files in, one OME-Zarr out."""

from __future__ import annotations

from volproc.stages.description import Input, Output, Stage, lines_of_volume
from volproc.stages.ingest.options import FetchOptions, IngestOptions

STAGE = Stage(
    package=__name__,
    name="ingest",
    help="Turn files into an OME-Zarr volume with its pyramid.",
    options=IngestOptions,
    more_options={"fetch": FetchOptions},
    inputs=(
        Input(
            "source",
            "A file, a folder of slices, a URL of either, or EMPIAR-NUMBER.",
            sources=("run.source",),
            kind="source",
            metavar="SOURCE",
        ),
    ),
    outputs=(Output("out", "The volume.", "image.zarr", metavar="OUT.zarr"),),
    in_run=lambda workflow: not workflow.source_is_volume,
    lines=lines_of_volume,
    returns="volproc.volume.store.Volume",
    about_result="The finished volume.",
)
