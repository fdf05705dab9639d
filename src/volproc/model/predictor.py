"""Our own U-Nets as predict sees them: BatchNorm folded away, 16 bits on a GPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from volproc.errors import ModelError
from volproc.model.etchacell import EtchACell
from volproc.model.network import Constants
from volproc.model.output_window import OutputWindow
from volproc.model.unet import UNet


class Predictor:
    """Probabilities (N, classes, slices_out, h, w), float32, for raw planes (N, slices_in, H, W).

    float32 on the CPU; on a GPU bfloat16, or float16 where the hardware lacks it.
    """

    def __init__(
        self,
        module: UNet | EtchACell,
        device: str,
        *,
        name: str = "the network",
        temperatures: Sequence[float] = (),
    ) -> None:
        self._name = name
        self._sigmoid = Sigmoid(module.spec.classes, temperatures, device)
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
        probabilities = self._sigmoid(logits)
        if math.isnan(float(probabilities.sum())):  # as NaN is where one of its parts is
            raise self._not_a_number(logits.dtype)
        return probabilities

    def _not_a_number(self, dtype: torch.dtype) -> ModelError:
        kind = str(dtype).removeprefix("torch.")
        way_out = 'use [predict] device = "cpu"' if dtype != torch.float32 else "train it again"
        return ModelError(
            f"model {self._name} predicts NaN: its weights are so large that {kind} cannot hold "
            f"the results; {way_out}, or take another model"
        )


class Sigmoid:
    """Probabilities (N, classes, slices, H, W), float32, from logits (N, classes x slices, H, W).

    Logits are divided by the `temperatures`, one per class (1 if there are none).
    """

    def __init__(self, classes: int, temperatures: Sequence[float], device: str) -> None:
        self._classes = classes
        per_class = torch.tensor(temperatures or (1.0,) * classes, device=device)
        self._sharpness = None if bool((per_class == 1).all()) else 1 / per_class.view(-1, 1, 1, 1)

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """The probabilities."""
        of_class = torch.unflatten(logits.float(), 1, (self._classes, -1))
        return torch.sigmoid(of_class if self._sharpness is None else of_class * self._sharpness)


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
