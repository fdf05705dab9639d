"""From envelopes to the nuclei that they enclose."""

from __future__ import annotations

from volproc.stages.description import Input, Output, Stage, lines_of_volume
from volproc.stages.interior.options import InteriorOptions

STAGE = Stage(
    package=__name__,
    name="interior",
    help="Fill what an envelope encloses: numbered nuclei, each with its envelope.",
    options=InteriorOptions,
    inputs=(Input("envelope", "The envelope.", ("predict.out",), metavar="ENVELOPE.zarr"),),
    outputs=(Output("out", "The nuclei, as labels.", "nuclei.zarr", metavar="NUCLEI.zarr"),),
    lines=lines_of_volume,
    returns="volproc.volume.store.Volume",
    about_result="The nuclei, numbered, each with its envelope.",
)
