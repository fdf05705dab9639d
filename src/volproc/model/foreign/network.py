"""A stranger's network as predict sees it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from volproc.errors import ModelError
from volproc.model.foreign.description import Description
from volproc.model.foreign.finding import WeightsFile
from volproc.model.foreign.formats import load_runnable
from volproc.model.foreign.forward import Forward
from volproc.model.foreign.processing import prepared, through
from volproc.model.network import Constants, Network, Predict
from volproc.model.output_window import OutputWindow

BEYOND = 0.01
"""Answers may leave 0 to 1 by this much; they are clipped."""


def require_probability(probability: Tensor, name: str, *, to: str) -> None:
    """ModelError unless all values lie within 0 and 1, with a little room."""
    low, high = float(probability.min()), float(probability.max())
    if math.isnan(low) or math.isinf(high - low):
        raise ModelError(
            f"{name} answers NaN or infinity to {to}; it may want other preprocessing than its "
            "card says"
        )
    if low < -BEYOND or high > 1 + BEYOND:
        raise ModelError(
            f"{name} answers {low:.3g} to {high:.3g} to {to}, expected probabilities; say in a "
            'card what follows the network, such as [[postprocessing]] id = "sigmoid" for logits, '
            '"scale_linear" with gain = 0.00392156 for 0 to 255, or "clip" from 0 to 1'
        )


@dataclass(frozen=True, kw_only=True)
class ForeignNetwork(Network):
    """A description, the file it belongs to, and what was measured."""

    description: Description
    file: WeightsFile
    weights_sha256: str
    trust: bool
    crop: int
    """Pixels it loses in plane on either side, for want of padding."""
    flop_per_pixel: float
    bytes_per_pixel: float

    def flop(self, height: int, width: int, requested: tuple[int, int] | None = None) -> int:
        """Operations of one pass, with what is added to make the network take the planes.

        All of them are answered, whatever is `wanted`.
        """
        return round(self.flop_per_pixel * self._pixels(height, width))

    def activation_bytes(self, height: int, width: int) -> int:
        """Memory of one pass, planes and answers included."""
        planes = 8 * (self.slices_in + self.slices_out)
        return round((self.bytes_per_pixel + planes) * self._pixels(height, width))

    def constants_from(self, sample: npt.NDArray[Any]) -> Constants:
        """The steps before the network, with the volume's statistics."""
        return prepared(self.description.preprocessing, sample)

    def load(self, device: str) -> Predict:
        """The network on `device`, from the same file as when it was opened."""
        data, where = self.file.read(), self.file.where
        if hashlib.sha256(data).hexdigest() != self.weights_sha256:
            raise ModelError(f"the model {where} changed after the run was planned; run again")
        kind = self.description.weights or "onnx"
        run = load_runnable(kind, data, where=where, device=device, trust=self.trust)
        return ForeignPredictor(Forward(run, self.description, self.crop), self.slices_out)

    def _pixels(self, height: int, width: int) -> int:
        size = self.description.size
        sides = (side + 2 * self.crop for side in (height, width))
        fitted = [(size.most or size.fit(side)) if size else side for side in sides]
        return fitted[0] * fitted[1]


@dataclass
class ForeignPredictor:
    """Probabilities (N, slices_out, h, w), float32, for raw planes (N, slices_in, H, W)."""

    forward: Forward
    slices_out: int

    @torch.inference_mode()
    def __call__(
        self, planes: Tensor, constants: Constants, requested: OutputWindow | None = None
    ) -> Tensor:
        """The answer within 0 and 1; ModelError if the network answers NaN."""
        answer = self.probability(self.forward(constants.apply(planes)))
        spare = (answer.shape[1] - self.slices_out) // 2
        central = answer[:, spare : spare + self.slices_out]
        require_probability(central, self.forward.description.name, to="the image")
        rows, columns = requested or (slice(None), slice(None))
        return central[..., rows, columns].clamp(0, 1)

    def probability(self, answer: Tensor) -> Tensor:
        """The wanted channel of (N, C, D, H, W) after the steps that follow the network."""
        return self.forward.requested(through(self.forward.description.postprocessing, answer))
