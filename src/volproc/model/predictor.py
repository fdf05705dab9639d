"""Our own U-Nets as predict sees them: BatchNorm folded away, 16 bits on a GPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from volproc.errors import ModelError
from volproc.model.deferred_checks import check_soon
from volproc.model.etchacell import EtchACell
from volproc.model.network import Constants
from volproc.model.normalisation import looked_up
from volproc.model.output_window import OutputWindow
from volproc.model.unet import UNet


class Predictor:
    """Probabilities (N, classes, slices_out, h, w), float32, for raw planes (N, slices_in, H, W).

    Computed in `dtype`; without, in float32 on the CPU, on a GPU in bfloat16, or float16 where the
    hardware lacks it. Only the sigmoid is float32 everywhere.
    """

    def __init__(
        self,
        module: UNet | EtchACell,
        device: str,
        *,
        name: str = "the network",
        temperatures: Sequence[float] = (),
        dtype: torch.dtype | None = None,
    ) -> None:
        on_gpu = torch.device(device).type == "cuda"
        self._name = name
        self._dtype = dtype or (half() if on_gpu else torch.float32)
        self._sigmoid = Sigmoid(module.spec.classes, temperatures, device)
        folded = without_batch_norm(module)
        if isinstance(folded, UNet) and not on_gpu:
            folded = without_stem(folded)
        rounded = with_weights_in(folded, self._dtype).to(device)
        # torch declares this overload for tensors only, though modules have it
        self.module = rounded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._greys: tuple[Constants, torch.Tensor] | None = None

    def __call__(
        self, planes: torch.Tensor, constants: Constants, requested: OutputWindow | None = None
    ) -> torch.Tensor:
        """The probabilities, given the volume's normalisation constants; ModelError for NaN."""
        probabilities = self._sigmoid(self.module(self._normal(planes, constants), requested))
        # a sum is NaN where one of its parts is
        check_soon(probabilities.sum().view(1), self._require_number)
        return probabilities

    def _normal(self, planes: torch.Tensor, constants: Constants) -> torch.Tensor:
        """Normalised planes in the network's type, channels last.

        Of uint8 on a GPU looked up among 256 values that were rounded once: 11 bytes of memory
        traffic a voxel, where computing them in float32, turning and rounding them take 43.
        """
        if planes.is_cuda and planes.dtype == torch.uint8:
            return looked_up(planes, self._table(constants, planes.device))
        normal = constants.apply(planes).to(self._dtype)
        return normal.contiguous(memory_format=torch.channels_last)

    def _table(self, constants: Constants, device: torch.device) -> torch.Tensor:
        """The normalised value of each uint8, kept until another volume's constants come."""
        if self._greys is None or self._greys[0] != constants:
            greys = constants.apply(torch.arange(256, dtype=torch.uint8))
            self._greys = constants, greys.to(self._dtype).to(device)
        return self._greys[1]

    def _require_number(self, total: float) -> None:
        if not math.isnan(total):
            return
        kind = str(self._dtype).removeprefix("torch.")
        rounded = self._dtype != torch.float32
        way_out = 'use [predict] device = "cpu"' if rounded else "train it again"
        raise ModelError(
            f"model {self._name} predicts NaN: its weights are so large that {kind} cannot hold "
            f"the results; {way_out}, or take another model"
        )


class Sigmoid:
    """Probabilities (N, classes, slices, H, W), float32, from logits (N, classes x slices, H, W).

    Logits are divided by the `temperatures`, one per class (1 if there are none).
    """

    def __init__(self, classes: int, temperatures: Sequence[float], device: str) -> None:
        self._classes = classes
        per_class = torch.tensor(temperatures or (1.0,) * classes)
        needless = bool((per_class == 1).all())
        self._sharpness = None if needless else (1 / per_class.view(-1, 1, 1, 1)).to(device)

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


def with_weights_in(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """`module` with weights and biases in `dtype`; its planes have to come in that, too.

    A BatchNorm that is left stays in float32, which torch takes beside planes in 16 bits: in 8 bits
    of mantissa a running variance would be off by up to 0.4%.
    """
    for part in module.modules():
        if not (isinstance(part, nn.BatchNorm2d) or [*part.children()]):
            part.to(dtype)
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
