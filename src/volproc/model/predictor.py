"""Our own U-Nets as predict sees them: BatchNorm folded away, 16 bits on a GPU."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from volproc.errors import ModelError
from volproc.model.etchacell import EtchACell, EtchACellSpec
from volproc.model.network import Constants, Network, Predict
from volproc.model.normalisation import constants_from
from volproc.model.output_window import OutputWindow
from volproc.model.unet import UNet, UNetSpec
from volproc.model.weights import WEIGHTS, Card, file_bytes, load_card, load_model


@dataclass(frozen=True, kw_only=True)
class UNetNetwork(Network):
    """A model folder of our own: weights.safetensors and card.json."""

    spec: UNetSpec | EtchACellSpec

    def flop(self, height: int, width: int, requested: tuple[int, int] | None = None) -> int:
        """Operations of the convolutions; the decoder computes only what is requested."""
        return self.spec.flop(height, width, requested)

    def activation_bytes(self, height: int, width: int) -> int:
        """Memory for one plane in float32."""
        return self.spec.activation_bytes(height, width)

    def constants_from(self, sample: npt.NDArray[Any]) -> Constants:
        """Mean and standard deviation of the voxels that are not saturated."""
        return constants_from(sample)

    def load(self, device: str) -> Predict:
        """The U-Net on `device`, ready to predict."""
        module, card = load_model(self.source)
        if card.weights_sha256 != self.digest:
            raise ModelError(
                f"the model {self.source} changed after the run was planned; run again"
            )
        return Predictor(module, device, name=self.name)


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
        digest=card.weights_sha256,
        classes=card.classes,
        weight_bytes=file_bytes(f"{folder}/{WEIGHTS}"),
        spec=card.spec,
    )


class Predictor:
    """Probabilities (N, classes, slices_out, h, w), float32, for raw planes (N, slices_in, H, W).

    float32 on the CPU; on a GPU bfloat16, or float16 where the hardware lacks it.
    """

    def __init__(self, module: UNet | EtchACell, device: str, *, name: str = "the network") -> None:
        self._name, self._classes = name, module.spec.classes
        folded = without_batch_norm(module).to(device)
        if isinstance(folded, UNet) and device == "cpu":
            folded = without_stem(folded)
        # torch declares this overload for tensors only, though modules have it
        self.module = folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(
        self, planes: torch.Tensor, constants: Constants, requested: OutputWindow | None = None
    ) -> torch.Tensor:
        """The probabilities, given the volume's normalisation constants; ModelError for NaN."""
        normal = constants.apply(planes).contiguous(memory_format=torch.channels_last)
        with torch.autocast(normal.device.type, dtype=half(), enabled=normal.is_cuda):
            logits = self.module(normal, requested)
        probabilities = torch.sigmoid(logits.float())
        if math.isnan(float(probabilities.sum())):  # as NaN is where one of its parts is
            raise self._not_a_number(logits.dtype)
        n, _, height, width = probabilities.shape
        return probabilities.view(n, self._classes, -1, height, width)

    def _not_a_number(self, dtype: torch.dtype) -> ModelError:
        kind = str(dtype).removeprefix("torch.")
        way_out = 'use [predict] device = "cpu"' if dtype != torch.float32 else "train it again"
        return ModelError(
            f"model {self._name} predicts NaN: its weights are so large that {kind} cannot hold "
            f"the results; {way_out}, or take another model"
        )


def without_batch_norm(module: nn.Module) -> nn.Module:
    """`module` with each BatchNorm folded into the convolution before: same output, less work."""
    for part in module.modules():
        if isinstance(part, nn.Sequential):
            for n, (before, layer) in enumerate(pairwise(part)):
                if isinstance(before, nn.Conv2d) and isinstance(layer, nn.BatchNorm2d):
                    part[n] = fuse_conv_bn_eval(before, layer)
                    part[n + 1] = nn.Identity()
    return module


def without_stem(module: UNet) -> UNet:
    """`module` with its stem folded into the first convolution, which then takes larger steps.

    The same sums in another order. Saves a copy of the planes that nothing but it reads: 6% of
    the time on a CPU; not tried on a GPU, whose units like many channels.
    """
    level = module.down[0]
    assert isinstance(level, nn.Sequential)
    first = level[0]
    assert isinstance(first, nn.Conv2d)
    s, (after, before, high, wide) = module.spec.stem, first.weight.shape
    parts = first.weight.view(after, before // s**2, s, s, high, wide)
    weight = parts.permute(0, 1, 4, 2, 5, 3).reshape(after, before // s**2, high * s, wide * s)
    folded = nn.Conv2d(before // s**2, after, high * s, stride=s, padding=s)
    folded.weight, folded.bias = nn.Parameter(weight), first.bias
    level[0], module.stem = folded, nn.Identity()
    return module


def half() -> torch.dtype:
    """The 16-bit type the GPU is fast in."""
    old = torch.cuda.is_available() and torch.cuda.get_device_capability() < (8, 0)
    return torch.float16 if old else torch.bfloat16
