"""Grey values filtered before a network sees them."""

from __future__ import annotations

from volproc.stages.description import Input, Output, Stage, lines_of_volume
from volproc.stages.filter.options import FilterOptions

STAGE = Stage(
    package=__name__,
    name="filter",
    help="Filter an image's grey values before a network sees them: median, gaussian, and so on.",
    options=FilterOptions,
    inputs=(Input("image", "The image.", ("ingest.out", "run.source"), metavar="IMAGE.zarr"),),
    outputs=(Output("out", "The filtered image.", "filtered.zarr", metavar="OUT.zarr"),),
    lines=lines_of_volume,
    returns="volproc.volume.store.Volume",
    about_result="The filtered image, on the same grid.",
)
