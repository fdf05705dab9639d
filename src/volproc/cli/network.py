"""The network and what follows: train, predict, label, evaluate."""

from __future__ import annotations

from typing import Annotated

import typer

import volproc
from volproc.cli.app import (
    OverwriteFlag,
    SerialFlag,
    SetFlag,
    Triple,
    TruthLabelsFlag,
    VoxelFlag,
    WorkersFlag,
    WorkflowFile,
    app,
    cluster_of,
    option,
    stated,
    whole_numbers,
)
from volproc.cli.progress import progress
from volproc.config import (
    EvaluateOptions,
    LabelOptions,
    PredictOptions,
    load_workflow,
)
from volproc.terminal import certified, describe, out, print_labelled, print_rows


@app.command()
def train(file: WorkflowFile, settings: SetFlag = None, overwrite: OverwriteFlag = False) -> None:
    """Train a model from the [train] table of a workflow file, or go on training it."""
    options = load_workflow(file, flags=settings or ()).require_train()
    card = volproc.train(options, overwrite=overwrite, watch=lambda record: out.print(record))
    out.print(f"model {card.name}: {options.model_out}")


@app.command()
def predict(
    image: Annotated[str, typer.Argument(metavar="IMAGE.zarr")],
    model: Annotated[
        str, typer.Argument(help="A model folder, a shipped model's name, or another's model.")
    ],
    url: Annotated[str, typer.Argument(metavar="OUT.zarr")],
    card: Annotated[str | None, option(PredictOptions, "card", metavar="FILE.toml")] = None,
    trust_model: Annotated[bool | None, option(PredictOptions, "trust_model")] = None,
    box: Annotated[str | None, option(PredictOptions, "box")] = None,
    mask: Annotated[str | None, option(PredictOptions, "mask", metavar="MASK.zarr")] = None,
    axes: Annotated[str | None, option(PredictOptions, "axes")] = None,
    fusion: Annotated[str | None, option(PredictOptions, "fusion")] = None,
    weights: Annotated[Triple | None, option(PredictOptions, "weights", metavar="Z Y X")] = None,
    threshold: Annotated[float | None, option(PredictOptions, "threshold")] = None,
    flips: Annotated[bool | None, option(PredictOptions, "flips")] = None,
    keep: Annotated[int | None, option(PredictOptions, "keep")] = None,
    halo: Annotated[
        str | None, option(PredictOptions, "halo", metavar="exact|reference|PIXELS")
    ] = None,
    skip: Annotated[float | None, option(PredictOptions, "skip")] = None,
    votes: Annotated[
        str, typer.Option(metavar="VOTES.zarr", help="Also write each axis' probability there.")
    ] = "",
    agreement: Annotated[bool | None, option(PredictOptions, "agreement")] = None,
    disagreement: Annotated[bool | None, option(PredictOptions, "disagreement")] = None,
    regions_um: Annotated[
        Triple | None, option(PredictOptions, "regions_um", metavar="Z Y X")
    ] = None,
    native: Annotated[bool | None, option(PredictOptions, "native")] = None,
    certify: Annotated[int | None, option(PredictOptions, "certify")] = None,
    voxel_nm: VoxelFlag = None,
    device: Annotated[str | None, option(PredictOptions, "device")] = None,
    overwrite: OverwriteFlag = False,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Predict with a model along three axes and fuse their votes."""
    options = stated(PredictOptions, {**locals(), "votes": bool(votes)})
    cluster = cluster_of(workers, serial)
    with progress() as watch:
        made = volproc.predict(
            image,
            url,
            options,
            votes=votes or None,
            overwrite=overwrite,
            cluster=cluster,
            watchers=(watch,),
        )
    describe(made)
    if options.certify:
        out.print(certified(url))


@app.command()
def label(
    mask: Annotated[str, typer.Argument(metavar="MASK.zarr")],
    url: Annotated[str, typer.Argument(metavar="OBJECTS.zarr")],
    input: Annotated[str | None, option(LabelOptions, "input")] = None,
    connectivity: Annotated[int | None, option(LabelOptions, "connectivity")] = None,
    threshold: Annotated[float | None, option(LabelOptions, "threshold")] = None,
    min_volume_um3: Annotated[float | None, option(LabelOptions, "min_volume_um3")] = None,
    max_volume_um3: Annotated[float | None, option(LabelOptions, "max_volume_um3")] = None,
    border: Annotated[str | None, option(LabelOptions, "border")] = None,
    largest: Annotated[int | None, option(LabelOptions, "largest")] = None,
    min_extent_nm: Annotated[
        Triple | None, option(LabelOptions, "min_extent_nm", metavar="Z Y X")
    ] = None,
    max_extent_nm: Annotated[
        Triple | None, option(LabelOptions, "max_extent_nm", metavar="Z Y X")
    ] = None,
    max_elongation: Annotated[float | None, option(LabelOptions, "max_elongation")] = None,
    keep_ids: Annotated[bool | None, option(LabelOptions, "keep_ids")] = None,
    native: Annotated[
        str, typer.Option(metavar="IMAGE.zarr", help="Also write labels on this image's grid.")
    ] = "",
    overwrite: OverwriteFlag = False,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Number connected components and list them in a table."""
    options = stated(LabelOptions, {**locals(), "native": bool(native)})
    cluster = cluster_of(workers, serial)
    with progress() as watch:
        result = volproc.label(
            mask,
            url,
            options,
            native=native or None,
            overwrite=overwrite,
            cluster=cluster,
            watchers=(watch,),
        )
    print_labelled(result)


@app.command()
def evaluate(
    result: Annotated[str, typer.Argument(metavar="RESULT.zarr")],
    truth: Annotated[str, typer.Argument(metavar="TRUTH.zarr")],
    json: Annotated[str, typer.Option(metavar="FILE.json", help="Write all scores there.")] = "",
    truth_labels: TruthLabelsFlag = "",
    slices: Annotated[
        tuple[int, int] | None, option(EvaluateOptions, "slices", metavar="FIRST END")
    ] = None,
    threshold: Annotated[float | None, option(EvaluateOptions, "threshold")] = None,
    overwrite: OverwriteFlag = False,
    workers: WorkersFlag = None,
    serial: SerialFlag = False,
) -> None:
    """Score a result (a mask, labels, a probability, or votes) against a label volume."""
    values = {**locals(), "truth_labels": whole_numbers("--truth-labels", truth_labels)}
    options, cluster = stated(EvaluateOptions, values), cluster_of(workers, serial)
    with progress() as watch:
        scores = volproc.evaluate(
            result, options, out=json, overwrite=overwrite, cluster=cluster, watchers=(watch,)
        )
    print_rows(scores.rows())
    for note in scores.about.get("notes", ()):
        out.print(note, markup=False)
