"""A model's card: all there is to know about it without its weights."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from volproc import __version__
from volproc.fusion import Fusion
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.normalisation import METHOD, Method
from volproc.model.unet_spec import UNetSpec

Format = Literal["volproc-unet-1", "volproc-model-2"]
"""The first knew one class and the first ten fields; what it lacks has a default."""
FORMAT: Format = "volproc-model-2"

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Axes = Literal["z", "y", "x", "zy", "zx", "yx", "zyx"]


def _kind(spec: Any) -> str:
    """Of a network's description, as a value or as a card's JSON; a U-Net's names no kind."""
    kind = spec.get("kind") if isinstance(spec, dict) else getattr(spec, "kind", None)
    return str(kind or "unet")


Spec = Annotated[
    Annotated[UNetSpec, Tag("unet")] | Annotated[EtchACellSpec, Tag("etchacell")],
    Discriminator(_kind),
]
"""A network that volproc can make from its description."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TrainedOn(_Frozen):
    """Data that went into the weights, and the terms they came under."""

    name: str
    terms: str


class Parent(_Frozen):
    """The model whose weights a training began with."""

    name: str
    weights_sha256: str
    """Digest of its weights."""
    changed: tuple[str, ...] = ()
    """What is different, a line each: voxel size, classes, what was frozen."""


class Calibration(_Frozen):
    """How far the probabilities of a class can be taken at their word."""

    temperature: Positive = 1.0
    """Logits are divided by it before the sigmoid; more than 1 for a network too sure of itself."""
    ece_before: Share
    """Expected calibration error at temperature 1 (Guo et al., ICML 2017)."""
    ece_after: Share
    """The same at `temperature`."""
    curve: tuple[tuple[Share, Share], ...] = ()
    """The mean probability of each bin, and the share of its voxels that are of the class."""


class Int8(_Frozen):
    """Quantised weights beside the float32 ones, and what they cost on planes held out."""

    sha256: str
    """Digest of int8.safetensors."""
    steps_from: tuple[str, ...]
    """Names of the images whose planes gave the steps of the activations, and others of whose
    planes gave the differences."""
    largest_difference: Share
    """Of probabilities, from those of the float32 weights."""
    mean_difference: Share
    """Of the same."""
    changed_sides: Share
    """Of the voxels, those that float32 puts on the other side of 0.5."""


class Card(_Frozen):
    """All there is to know about a model without loading its weights."""

    name: str
    voxel_nm: tuple[Positive, Positive, Positive]
    """Voxel size (z, y, x) in nm at which the network sees the image."""
    slices_in: Annotated[int, Field(ge=1)]
    slices_out: Annotated[int, Field(ge=1)]
    reach: Annotated[int, Field(ge=0)]
    """Receptive-field radius in pixels: the halo a tile needs, exactly."""
    measured_halo: Annotated[int, Field(ge=0)] | None = None
    """Pixels of context that changed its output when its input was perturbed, a multiple of
    `stride`: at most the network's halo; None where nobody measured."""
    stride: Annotated[int, Field(ge=1)]
    """Tile origins and sizes are multiples of this many pixels."""
    normalisation: Method = METHOD
    """How the constants are found, once per volume."""
    grey_quantiles: tuple[float, ...] = ()
    """Normalised grey values of the images it learnt from, at equally spaced shares of their voxels
    from 0 to 1 (`normalisation.grey_quantiles`); empty if unknown."""
    classes: Annotated[tuple[str, ...], Field(min_length=1)] = ("nucleus",)
    """What the network segments; one sigmoid per class and slice."""
    axes: Axes = "zyx"
    """Axes along which it was trained and validated: those to predict along."""
    fusion: Fusion = "mean"
    """How its votes of several axes are best fused."""
    spec: Spec
    """The network's description."""
    purpose: str = ""
    """What the model is for, in a line."""
    limits: str = ""
    """Where it fails."""
    trained_on: tuple[TrainedOn, ...] = ()
    parent: Parent | None = None
    licence: str = ""
    """Terms of the weights themselves."""
    validation: dict[str, dict[str, float]] = {}
    """Dice on images it did not learn from, by class, then by axis ("z") or fusion ("mean")."""
    calibration: dict[str, Calibration] = {}
    """By class."""
    scores: dict[str, float] = {}
    """Score by what it is and was measured on, such as "Dice, cell 329, slices 130 to 149"."""
    notes: str = ""
    """What users should know: how it was trained, where it fails."""
    made_by: str = f"volproc {__version__}"
    format: Format = FORMAT
    weights_sha256: str = ""
    """Digest of weights.safetensors; written by `save_model`."""
    int8: Int8 | None = None
    """Of these weights; None where nobody quantised them."""

    @model_validator(mode="after")
    def _one_name_per_output(self) -> Self:
        if len({*self.classes}) != self.spec.classes or len(self.classes) != self.spec.classes:
            raise ValueError(
                f"classes are {', '.join(self.classes)}, the network predicts {self.spec.classes}; "
                "give each a name of its own"
            )
        unknown = ({*self.validation} | {*self.calibration}) - {*self.classes}
        if unknown:
            raise ValueError(
                f"validation or calibration is of {min(unknown)!r}, the classes are "
                f"{', '.join(self.classes)}"
            )
        return self

    @property
    def temperatures(self) -> tuple[float, ...]:
        """By which logits are divided, one per class; 1 where nothing was calibrated."""
        found = (self.calibration.get(name) for name in self.classes)
        return tuple(one.temperature if one else 1.0 for one in found)

    @property
    def digest(self) -> str:
        """Names the weights and all of the card that changes predictions: temperatures, greys."""
        if self.grey_quantiles or any(t != 1 for t in self.temperatures):
            words = json.dumps([self.weights_sha256, self.temperatures, self.grey_quantiles])
            return hashlib.sha256(words.encode()).hexdigest()
        return self.weights_sha256


def int8_costs(quantised: Int8) -> str:
    """In a line, what the quantised weights cost."""
    return (
        f"int8: on planes of {', '.join(quantised.steps_from)} probabilities differ from "
        f"float32's by {quantised.mean_difference:.2g} on average, "
        f"{quantised.largest_difference:.2g} at most; "
        f"{1e6 * quantised.changed_sides:.0f} of a million voxels change sides of 0.5"
    )


def card_for(
    spec: UNetSpec | EtchACellSpec, *, name: str, voxel_nm: tuple[float, float, float], **more: Any
) -> Card:
    """A card with all that follows from the network's description filled in."""
    return Card(
        name=name,
        voxel_nm=voxel_nm,
        slices_in=spec.slices_in,
        slices_out=spec.slices_out,
        reach=spec.reach,
        stride=spec.stride,
        spec=spec,
        **more,
    )
