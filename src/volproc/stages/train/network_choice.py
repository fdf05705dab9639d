"""Which network is trained: what the options say, and where they do not, what it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.model_folder import load_card
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import Card, NetworkSpec
from volproc.stages.train.options import TrainOptions
from volproc.stages.train.start import folder_of

FEW: Mapping[str, Any] = {
    "start_from": "nuclei-50nm",
    "steps": 300,
    "learning_rate": 5e-4,
    "batch": 4,
    "checkpoint_steps": 50,
    "validate_steps": 100,
}
"""Options for few annotated slices, where they are not given. Nothing is frozen: a frozen encoder
is no use where greys are others than the model learnt from (benchmarks/few_slices.py)."""
PLANES = ("slices_in", "slices_out")
UNET = (*PLANES, "widths", "stem", "convs_down", "convs_up", "block", "skips")
ETCHACELL = {"slices_in": "slices_in", "slices_out": "slices_out", "start": "towers"}
ETCHACELL |= {"levels": "levels"}
"""Options by the names that the description of Etch-a-Cell's network has for them."""


def spec_of(options: TrainOptions, *, classes: int) -> NetworkSpec:
    """The network that the options describe; ModelError for one that cannot be."""
    if options.network == "etchacell":
        named = {name: getattr(options, option) for name, option in ETCHACELL.items()}
        return EtchACellSpec(**named, classes=classes)
    return UNetSpec(**{name: getattr(options, name) for name in UNET}, classes=classes)


def completed(options: TrainOptions) -> TrainOptions:
    """The options, with those that `few` and the model started from imply where they lack them."""
    given = options.model_dump(exclude_unset=True)
    if options.few:
        given = {**FEW, **given}
    if start := given.get("start_from"):
        given = {**_implied(load_card(folder_of(start))), **given}
    return TrainOptions(**given)


def _implied(card: Card) -> dict[str, Any]:
    """The options that make the network of a card, at its voxel size."""
    z, y, x = card.voxel_nm
    voxel_nm = z if z == y == x else card.voxel_nm
    if isinstance(card.spec, EtchACellSpec):
        named = {option: getattr(card.spec, name) for name, option in ETCHACELL.items()}
        return {"network": "etchacell", "voxel_nm": voxel_nm, **named}
    assert {field.name for field in fields(card.spec)} == {*UNET, "classes"}
    return {"voxel_nm": voxel_nm, **{name: getattr(card.spec, name) for name in UNET}}
