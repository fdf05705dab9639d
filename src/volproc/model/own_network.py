"""Our own U-Nets as predict sees them, known by their card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from volproc.errors import ModelError
from volproc.model.card import Card
from volproc.model.etchacell_spec import EtchACellSpec
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

    def load(self, device: str) -> Predict:
        """The U-Net on `device`, ready to predict."""
        from volproc.model.predictor import Predictor  # torch: only those who predict wait for it
        from volproc.model.weights import load_model

        module, card = load_model(self.source)
        if card.digest != self.digest:
            raise ModelError(
                f"the model {self.source} changed after the run was planned; run again"
            )
        return Predictor(module, device, name=self.name, temperatures=card.temperatures)


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
        spec=card.spec,
    )
