"""A network that others made, as predict sees it; and whether its own test output comes out."""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from volproc.errors import ModelError
from volproc.model.deferred_checks import check_soon
from volproc.model.foreign.forward import LETTERS, Forward
from volproc.model.foreign.model_card import Description
from volproc.model.foreign.processing import prepared, through
from volproc.model.foreign.weights_file import WeightsFile, load_runnable
from volproc.model.network import Constants, Network, Predict
from volproc.model.output_window import OutputWindow

BEYOND = 0.01
"""Outputs may leave 0 to 1 by this much; they are clipped."""


def require_probability(probability: Tensor, name: str, *, to: str) -> None:
    """ModelError unless all values lie within 0 and 1, with a little room; see `check_soon`."""
    ends = torch.stack(torch.aminmax(probability)).float()
    check_soon(ends, partial(_require_range, name=name, to=to))


def _require_range(low: float, high: float, *, name: str, to: str) -> None:
    if math.isnan(low) or math.isinf(high - low):
        raise ModelError(
            f"{name} predicts NaN or infinity for {to}; it may want other preprocessing than its "
            "card says"
        )
    if low < -BEYOND or high > 1 + BEYOND:
        raise ModelError(
            f"{name} predicts {low:.3g} to {high:.3g} for {to}, expected probabilities; say in a "
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
    """Pixels that it loses in plane on either side, as it does not pad."""
    flop_per_pixel: float
    bytes_per_pixel: float

    def flop(self, height: int, width: int, requested: tuple[int, int] | None = None) -> int:
        """Operations for one set of planes, with what is added to make the network take them.

        All of them are predicted, whatever is `requested`.
        """
        return round(self.flop_per_pixel * self._pixels(height, width))

    def activation_bytes(self, height: int, width: int) -> int:
        """Memory for one set of planes, input and output included."""
        planes = 8 * (self.slices_in + self.slices_out)
        return round((self.bytes_per_pixel + planes) * self._pixels(height, width))

    def constants_from(self, sample: npt.NDArray[Any], *, match_greys: bool = False) -> Constants:
        """The steps before the network, with the volume's statistics."""
        if match_greys:
            raise ModelError(
                f"{self.name} was made by others, who state no distribution of grey values to "
                "match; leave match_greys out"
            )
        return prepared(self.description.preprocessing, sample)

    def load(self, device: str, *, exact: bool = False) -> Predict:
        """The network on `device`, from the same file as when it was opened; always in float32."""
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
    """Probabilities (N, 1, slices_out, h, w), float32, for raw planes (N, slices_in, H, W)."""

    forward: Forward
    slices_out: int

    @torch.inference_mode()
    def __call__(
        self, planes: Tensor, constants: Constants, requested: OutputWindow | None = None
    ) -> Tensor:
        """The output within 0 and 1; ModelError if the network predicts NaN."""
        output = self.probability(self.forward(constants.apply(planes)))
        spare = (output.shape[1] - self.slices_out) // 2
        central = output[:, spare : spare + self.slices_out]
        require_probability(central, self.forward.description.name, to="the image")
        rows, columns = requested or (slice(None), slice(None))
        return central[:, None, :, rows, columns].clamp(0, 1)

    def probability(self, output: Tensor) -> Tensor:
        """The requested channel of (N, C, D, H, W) after the steps that follow the network."""
        return self.forward.requested(through(self.forward.description.postprocessing, output))


@torch.inference_mode()
def difference_from_test(predictor: ForeignPredictor, given: bytes, requested: bytes) -> float:
    """Greatest difference between the output for the test input and the test output, both .npy.

    Every sample counts as a volume of its own. ModelError where the shapes do not fit.
    """
    description = predictor.forward.description
    planes = _array(given, description.axes, description)[:, 0]
    expected = _array(requested, description.output_axes or description.axes, description)
    worst = 0.0
    for sample, output in zip(planes, expected, strict=True):
        constants = prepared(description.preprocessing, sample)
        ready = constants.apply(torch.from_numpy(sample.astype(np.float32))).unsqueeze(0)
        found = predictor.probability(predictor.forward.plain(ready))[0].numpy()
        if found.shape != output.shape[1:]:
            raise ModelError(
                f"{description.name} predicts {found.shape} (z, y, x) for its test input, its test "
                f"output has {output.shape[1:]}"
            )
        difference = np.abs(found - output[description.channel_of(len(output))].astype(np.float64))
        worst = max(worst, float(np.nan_to_num(difference, nan=np.inf).max()))
    return worst


def _array(data: bytes, axes: str, description: Description) -> npt.NDArray[Any]:
    """A test tensor as (N, C, D, H, W)."""
    try:
        values: npt.NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ModelError(
            f"{description.name}: a test tensor is not a readable .npy file: {error}"
        ) from error
    if values.ndim != len(axes):
        raise ModelError(
            f"{description.name}: a test tensor has {values.ndim} axes, its description {axes!r}"
        )
    kept = [letter for letter in LETTERS if letter in axes]
    values = values.transpose([axes.index(letter) for letter in kept])
    return values.reshape([values.shape[kept.index(a)] if a in kept else 1 for a in LETTERS])
