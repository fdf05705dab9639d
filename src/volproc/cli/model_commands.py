"""Models: what there are, what their cards say, whether they are whole, and Keras' as ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from volproc.cli.app import app
from volproc.terminal import out, show

if TYPE_CHECKING:
    from volproc.model.card import Calibration, Card

models = typer.Typer(help="List, show, check, quantise and import models.", no_args_is_help=True)
app.add_typer(models, name="models")

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A folder or shipped name.")]
BAR = 20
"""Characters of a bar from 0 to 1."""


@models.command("list")
def list_models(
    folder: Annotated[
        str, typer.Argument(metavar="[FOLDER]", help="A folder of model folders, besides ours.")
    ] = "",
) -> None:
    """Say which models there are, and at which voxel size they see what."""
    from volproc.model.model_folder import cards_in

    table = Table("model", "network", "voxel nm", "classes", "axes", "kFLOP/voxel/axis", "purpose")
    for name, card in cards_in(folder):
        voxel = " x ".join(f"{n:g}" for n in card.voxel_nm)
        network = "etchacell" if hasattr(card.spec, "start") else "unet"
        classes = ", ".join(card.classes)
        table.add_row(name, network, voxel, classes, card.axes, _kflop(card), card.purpose)
    out.print(table)


@models.command("show")
def show_model(model: ModelArgument) -> None:
    """Print a model's card."""
    from volproc.model.model_folder import load_card, model_folder

    card = load_card(model_folder(model))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for key, value in _facts(card):
        if value:
            table.add_row(key, value)
    show(table)
    for name, found in card.calibration.items():
        show(_curve(name, found))


@models.command("check")
def check_models(model: ModelArgument) -> None:
    """Say what is wrong with a model; exit code 1 if something is."""
    from volproc.model.checking import check_model

    found = check_model(model)
    for one in found:
        show(str(one))
    if any(one.wrong for one in found):
        raise typer.Exit(1)
    show(f"{model}: nothing is wrong" + (", see the notes" if found else ""))


@models.command("quantise")
def quantise_model(
    model: ModelArgument,
    folder: Annotated[
        str, typer.Argument(metavar="[OUT]", help="The folder it goes to; its own if left out.")
    ] = "",
    *,
    images: Annotated[
        list[str],
        typer.Option(help="Volumes like those to predict. Repeatable.", metavar="IMAGE.zarr"),
    ],
) -> None:
    """Make a model's int8 weights ([predict] precision = "int8"), and say what they cost."""
    from volproc.model.card import int8_costs
    from volproc.stages.model_quantising import quantise_model

    made = quantise_model(model, images, folder)
    assert made.int8
    show(f"{made.name}: {folder or model}")
    show(int8_costs(made.int8))


@models.command("import-keras")
def import_keras_model(
    file: Annotated[Path, typer.Argument(metavar="MODEL.hdf5", help="What Keras saved as HDF5.")],
    folder: Annotated[str, typer.Argument(metavar="OUT", help="The new model's folder.")],
    name: Annotated[str, typer.Option(help="Name on the card.")] = "etchacell",
    voxel_nm: Annotated[
        tuple[float, float, float],
        typer.Option(help="Voxel size (nm) at which it sees images.", metavar="Z Y X"),
    ] = (50, 50, 50),
    class_name: Annotated[
        list[str], typer.Option("--class", help="What it segments. Repeatable.")
    ] = ["nucleus"],  # noqa: B006 - typer makes it anew
    licence: Annotated[str, typer.Option(help="Terms of the weights.")] = "",
) -> None:
    """Make a model of Etch-a-Cell's network as Keras saved it (.h5, .hdf5)."""
    from volproc.model.keras.importing import import_keras

    classes = tuple(class_name)
    card = import_keras(
        file, folder, name=name, voxel_nm=voxel_nm, classes=classes, licence=licence
    )
    show(f"model {card.name}: {folder}")
    show(card.notes)
    show(card.limits)


def _kflop(card: Card) -> str:
    side = 64 * card.stride
    return f"{card.spec.flop(side, side) / side**2 / card.slices_out / 1000:.2g}"


def _facts(card: Card) -> Iterator[tuple[str, str]]:
    from volproc.model.card import int8_costs

    yield "name", card.name
    yield "purpose", card.purpose
    yield "limits", card.limits
    yield "classes", ", ".join(card.classes)
    yield "voxel size", " x ".join(f"{n:g}" for n in card.voxel_nm) + " nm (z, y, x)"
    yield "axes, fusion", f"{card.axes}, {card.fusion}"
    yield "network", str(card.spec)
    yield "work", f"{_kflop(card)} kFLOP per voxel and axis"
    measured = "" if card.measured_halo is None else f" ({card.measured_halo} measured)"
    yield "sees", f"{card.reach} pixels; tiles take {card.spec.halo} around them{measured}"
    yield "normalisation", card.normalisation
    yield "greys", f"{len(card.grey_quantiles)} quantiles" if card.grey_quantiles else ""
    if card.parent:
        yield "parent", f"{card.parent.name}, weights {card.parent.weights_sha256[:12]}"
        yield from (("", line) for line in card.parent.changed)
    for data in card.trained_on:
        yield "trained on", f"{data.name}: {data.terms}"
    yield "licence", card.licence
    for name, scores in card.validation.items():
        yield f"Dice, {name}", ", ".join(f"{key} {value:.4g}" for key, value in scores.items())
    for key, value in card.scores.items():
        yield "score", f"{key}: {value:.4g}"
    yield "notes", card.notes
    if card.int8:
        yield "quantised", int8_costs(card.int8)
    yield "made by", card.made_by
    yield "weights", card.weights_sha256


def _curve(name: str, found: Calibration) -> Table:
    """The reliability curve: of voxels said to be of the class, the share that are."""
    title = (
        f"{name}: temperature {found.temperature:.3g}, calibration error {found.ece_before:.3g}, "
        f"{found.ece_after:.3g} after it"
    )
    table = Table("says", "is", "", title=title, title_justify="left", box=None)
    for said, share in found.curve:
        table.add_row(f"{said:.2f}", f"{share:.2f}", "█" * round(share * BAR))
    return table
