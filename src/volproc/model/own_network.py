"""Our own U-Nets as predict sees them, known by their card."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy.typing as npt

from volproc.errors import ModelError
from volproc.model.card import Card
from volproc.model.etchacell_spec import EtchACellSpec
from volproc.model.int8.requirements import require_int8, require_openvino
from volproc.model.model_folder import WEIGHTS, file_bytes, load_card
from volproc.model.network import Constants, Network, Predict
from volproc.model.normalisation import constants_from, matched_constants
from volproc.model.unet_spec import UNetSpec


@dataclass(frozen=True, kw_only=True)
class UNetNetwork(Network):
    """A model folder of our own: weights.safetensors and card.json."""

    spec: UNetSpec | EtchACellSpec
    grey_quantiles: tuple[float, ...] = ()
    """Of the images that it learnt from, normalised."""
    int8_sha256: str = ""
    """Digest of its quantised weights; none where nobody made them."""

    def flop(self, height: int, width: int, requested: tuple[int, int] | None = None) -> int:
        """Operations of the convolutions; the decoder computes only what is requested."""
        return self.spec.flop(height, width, requested)

    def activation_bytes(self, height: int, width: int) -> int:
        """Memory for one plane in float32."""
        return self.spec.activation_bytes(height, width)

    def constants_from(self, sample: npt.NDArray[Any], *, match_greys: bool = False) -> Constants:
        """Mean and standard deviation of the voxels that are not saturated, or all quantiles."""
        if match_greys and not self.grey_quantiles:
            raise ModelError(
                f"the card of {self.name} states no grey_quantiles to match grey values to; leave "
                "match_greys out, or train it again"
            )
        if match_greys:
            return matched_constants(sample, self.grey_quantiles)
        return constants_from(sample)

    def load(self, device: str, *, exact: bool = False) -> Predict:
        """The U-Net on `device`, ready to predict."""
        import torch  # only those who predict wait for it

        from volproc.model.predictor import Predictor
        from volproc.model.weights import load_model

        module, card = load_model(self.source)
        if card.digest != self.digest:
            raise ModelError(
                f"the model {self.source} changed after the run was planned; run again"
            )
        dtype = torch.float32 if exact else None
        temperatures = card.temperatures
        return Predictor(module, device, name=self.name, temperatures=temperatures, dtype=dtype)


@dataclass(frozen=True, kw_only=True)
class Int8UNetNetwork(UNetNetwork):
    """The same with its quantised weights, on a CPU."""

    def load(self, device: str, *, exact: bool = False) -> Predict:
        """The quantised U-Net; ModelError where openvino is missing."""
        from volproc.model.int8.layers import load_layers
        from volproc.model.int8.predictor import Int8Predictor

        if device != "cpu":
            raise ModelError(f'{self.name} in int8 is for CPUs; use [predict] device = "cpu"')
        card = load_card(self.source)
        if in_int8(described(card, self.source)).digest != self.digest:
            raise ModelError(
                f"the model {self.source} changed after the run was planned; run again"
            )
        spec = require_int8(self.spec, self.name)
        layers = load_layers(self.source, spec, self.int8_sha256)
        return Int8Predictor(layers, spec, temperatures=card.temperatures)


def in_int8(network: Network) -> Int8UNetNetwork:
    """`network` with its quantised weights; ModelError where it has none, or openvino is missing.

    No part of its digest is the kind of CPU, as all give the same bits (`int8/layers.py`).
    """
    if not isinstance(network, UNetNetwork):
        raise ModelError(
            f"{network.name} is not one of volproc's U-Nets, which int8 is for; use "
            'precision = "float32"'
        )
    require_int8(network.spec, network.name)
    if not network.int8_sha256:
        raise ModelError(
            f"{network.name} has no quantised weights; make them (volproc models quantise "
            f'{network.source} --images IMAGE.zarr), or use precision = "float32"'
        )
    require_openvino()
    words = f"{network.digest} int8 {network.int8_sha256}"
    known = {one.name: getattr(network, one.name) for one in fields(network)}
    changed = {
        "digest": hashlib.sha256(words.encode()).hexdigest(),
        "notes": (*network.notes, "runs in int8, as [predict] precision asks"),
    }
    return Int8UNetNetwork(**known | changed)


def own_network(folder: Path | str) -> UNetNetwork:
    """The network in one of our model folders; ModelError if its card is missing or unusable."""
    return described(load_card(folder), folder)


def described(card: Card, folder: Path | str) -> UNetNetwork:
    """The network of a `card`, though nothing may be in its `folder` yet."""
    return UNetNetwork(
        name=card.name,
        source=str(folder),
        voxel_nm=card.voxel_nm,
        slices_in=card.slices_in,
        slices_out=card.slices_out,
        halo=card.spec.halo,
        stride=card.stride,
        digest=card.digest,
        classes=card.classes,
        axes=card.axes,
        fusion=card.fusion,
        grey_quantiles=card.grey_quantiles,
        weight_bytes=file_bytes(f"{folder}/{WEIGHTS}"),
        int8_sha256=card.int8.sha256 if card.int8 else "",
        spec=card.spec,
    )
