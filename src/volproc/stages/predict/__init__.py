"""A network looks at every block along up to three axes; their fused prediction is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from volproc.errors import VolumeError
from volproc.faults import understanding
from volproc.stages.description import Input, Output, Stage, lines_of_volume
from volproc.stages.predict.options import PredictOptions


def _resolve(workflow: Any, place: Callable[[str], str]) -> PredictOptions:
    options: PredictOptions = workflow.predict
    if workflow.train is None or "model" in options.model_fields_set:
        return options
    return options.model_copy(update={"model": workflow.resolved("train", place).model_out})


def _lines(made: Any, tables: Mapping[str, Any]) -> Iterable[Any]:
    yield from lines_of_volume(made, tables)
    if purpose := made.info.provenance.get("model_card", {}).get("Purpose"):
        yield f"its model is for: {purpose}"
    if made.info.channels:
        yield f"a channel for each class: {', '.join(made.info.channels)}"
    if tables["predict"].seam_check:
        yield _certificate(made.info.url)


def _certificate(prediction: str) -> str:
    """The seam certificate beside `prediction`, in a line."""
    from volproc.volume.file_io import read_file, sibling

    place = sibling(prediction, "-certificate.json")
    content = read_file(place)
    damaged = f"{place} is damaged ({{}}); remove it and run the same command again"
    with understanding(VolumeError, damaged):
        found = json.loads(content)
        said = {True: "certified", False: "NOT certified", None: "measured"}[found["passed"]]
        rounded = found.get("written_largest")  # of certificates before 16 bits were told apart
        bits = "" if rounded is None else f", those in 16 bits by up to {rounded} from float32"
        return (
            f"seams {said}: {found['places']} places predicted again with other tiles, votes "
            f"differ by up to {found['largest']} of 255, {found['mean']:.3g} on average{bits}; "
            f"{100 * found['changed']:.3g}% of the voxels change sides"
        )


STAGE = Stage(
    package=__name__,
    name="predict",
    help="Predict with a model along up to three axes, and fuse their votes.",
    options=PredictOptions,
    inputs=(
        Input(
            "image",
            "The image.",
            ("filter.out", "ingest.out", "run.source"),
            metavar="IMAGE.zarr",
        ),
        Input("model", "The model.", ("train.model_out",), required=False, kind="file"),
    ),
    outputs=(
        Output("out", "The fused prediction.", "prediction.zarr", metavar="OUT.zarr"),
        Output(
            "votes",
            "Also write each axis' probability there.",
            "votes.zarr",
            required=False,
            metavar="VOTES.zarr",
        ),
    ),
    in_run="always",
    resolve=_resolve,
    lines=_lines,
    arguments=("image", "model", "out"),
    returns="volproc.volume.store.Volume",
    about_result="The fused prediction: uint8, 255 is certain, at the model's voxel size.",
)
