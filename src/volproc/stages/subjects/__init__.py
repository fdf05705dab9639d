"""Slices of an image for volunteers, with the manifest of a Zooniverse subject set."""

from __future__ import annotations

from volproc.stages.description import Input, Output, Stage
from volproc.stages.subjects.options import SubjectsOptions

STAGE = Stage(
    package=__name__,
    name="subjects",
    help="Cut slices for volunteers, with the manifest.csv of a Zooniverse subject set.",
    options=SubjectsOptions,
    inputs=(Input("image", "The image.", ("ingest.out", "run.source"), metavar="IMAGE.zarr"),),
    outputs=(Output("out", "The folder of the slices.", "subjects", metavar="OUT/"),),
    lines=lambda manifest, tables: [f"subjects: {manifest}"],
    returns="str",
    about_result="The path of manifest.csv.",
)
