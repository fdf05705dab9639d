"""Quantised weights from float32 ones and planes of images; what they cost in accuracy.

An activation's step comes from the largest value that the planes bring about, one step for all of
its channels. A convolution's weights take the steps of what it reads and of what it makes; then
each output channel is rounded to whole numbers times the smallest power of two that fits.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from volproc.model.card import Card
from volproc.model.int8.layers import (
    INPUT_STEPS,
    MAX_WEIGHT,
    Int8Layer,
    Int8Layers,
    skip_layers,
    walk,
    zero_of,
)
from volproc.model.int8.predictor import Int8Predictor
from volproc.model.int8.requirements import require_int8
from volproc.model.network import Constants
from volproc.model.output_window import Region
from volproc.model.predictor import Predictor, without_batch_norm, without_stem
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import PlaneNetwork

EXACT = 2**24
"""Whole numbers up to this one are float32's."""
TINIEST = 1e-6
"""The range of an activation that is always 0."""
MAX_EXPONENT = 60
"""Of a channel whose weights are all but 0."""
PLANES = ""
"""In the place of a layer: the planes themselves."""

Sample: TypeAlias = tuple[Tensor, Constants]
"""Raw planes (1, slices_in, H, W) and the constants of their volume."""


def quantise(network: PlaneNetwork, samples: Sequence[Sample], *, name: str) -> Int8Layers:
    """The layers of `network` with the steps that the samples suggest.

    ModelError for a network that has no quantised form.
    """
    spec = require_int8(network.spec, name)
    folded = without_batch_norm(copy.deepcopy(network))
    assert isinstance(folded, UNet)
    found = _Ranges(_convolutions(without_stem(folded)))
    with torch.inference_mode():
        for planes, constants in samples:
            walk(found, spec, _Made(constants.apply(planes), (PLANES,)))
    steps = _steps(found.ranges, spec)
    return {name: _rounded(found, name, steps) for name in found.read}


def _convolutions(network: UNet) -> dict[str, nn.Conv2d | nn.ConvTranspose2d]:
    """Those of a folded network, by the names of `layer_sizes`."""
    found: dict[str, nn.Conv2d | nn.ConvTranspose2d] = {"head": network.head}
    for way, levels in (("down", network.down), ("up", network.up)):
        for level, layers in enumerate(levels):
            kept = (layer for layer in layers.modules() if isinstance(layer, nn.Conv2d))
            found |= {f"{way}.{level}.{n}": layer for n, layer in enumerate(kept)}
    lifts = (layer for layer in network.lift if isinstance(layer, nn.ConvTranspose2d))
    return found | {f"lift.{level}": layer for level, layer in enumerate(lifts)}


@dataclass(frozen=True)
class _Made:
    """Values, and the layers that made their channels."""

    values: Tensor
    by: tuple[str, ...]


@dataclass
class _Ranges:
    """`Arithmetic` of the float32 network, which notes the range of every layer's output."""

    layers: dict[str, nn.Conv2d | nn.ConvTranspose2d]
    read: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What each layer reads, in the order of its channels."""
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)

    def convolution(self, values: _Made, name: str) -> _Made:
        found = self.layers[name](values.values)
        return self._noted(values, found if name == "head" else functional.relu(found), name)

    def lift(self, values: _Made, name: str) -> _Made:
        return self._noted(values, self.layers[name](values.values), name)

    def pool(self, values: _Made) -> _Made:
        return _Made(functional.max_pool2d(values.values, 2), values.by)

    def join(self, skip: _Made, lifted: _Made) -> _Made:
        return _Made(torch.cat([skip.values, lifted.values], dim=1), skip.by + lifted.by)

    def add(self, skip: _Made, lifted: _Made, name: str) -> _Made:
        found = skip.values + lifted.values
        self._note(found, name)
        return _Made(found, (name,))

    def part(self, values: _Made, region: Region, seen: Region | None) -> _Made:
        return _Made(region.of(values.values, seen), values.by)

    def _noted(self, read: _Made, made: Tensor, name: str) -> _Made:
        self._note(made, name)
        self.read[name] = read.by
        return _Made(made, (name,))

    def _note(self, made: Tensor, name: str) -> None:
        low, high = self.ranges.get(name, (-TINIEST, TINIEST))
        self.ranges[name] = (min(low, float(made.min())), max(high, float(made.max())))


def _steps(ranges: dict[str, tuple[float, float]], spec: UNetSpec) -> dict[str, float]:
    """The value of one step of each layer's output; the head's is not rounded."""
    found = {PLANES: 1 / INPUT_STEPS, "head": 1.0}
    for name, (low, high) in ranges.items():
        zero = zero_of(name, spec)
        signed = zero and name.startswith(("lift", "sum"))
        step = max(high / (255 - zero), -low / zero if signed else 0.0)
        found.setdefault(name, step)
    for level, skip in enumerate(skip_layers(spec) if spec.skips == "add" else ()):
        # whole numbers of one step add up to whole numbers
        together = (skip, f"lift.{level}", f"sum.{level}")
        found |= dict.fromkeys(together, max(found[name] for name in together))
    return found


def _rounded(found: _Ranges, name: str, steps: dict[str, float]) -> Int8Layer:
    """A layer in whole numbers: exponents so that weights fit, and no sum is beyond float32's."""
    layer = found.layers[name]
    weight, channel_out = layer.weight.detach().double(), 1 if name.startswith("lift") else 0
    weight = weight.movedim(channel_out, 0)  # (out, in, high, wide)
    per_source = [steps[source] for source in found.read[name]]
    read = torch.tensor(per_source).double().repeat_interleave(weight.shape[1] // len(per_source))
    scaled = weight * read.view(1, -1, 1, 1) / steps[name]
    assert layer.bias is not None
    bias = layer.bias.detach().double() / steps[name]
    exponent = _exponents(scaled, bias)
    scale = torch.exp2(exponent)
    whole = torch.round(scaled * scale.view(-1, 1, 1, 1)).movedim(0, channel_out)
    return Int8Layer(
        whole.to(torch.int8).contiguous().numpy(),
        exponent.to(torch.int8).numpy(),
        torch.round(bias * scale).to(torch.int32).numpy(),
    )


def _exponents(weight: Tensor, bias: Tensor) -> Tensor:
    """The largest for which weights are at most `MAX_WEIGHT`, and sums less than `EXACT`."""
    largest = weight.abs().amax(dim=(1, 2, 3))
    sums = 255 * weight.abs().sum(dim=(1, 2, 3)) + bias.abs()
    room = EXACT - 255 * weight[0].numel()  # each weight may be rounded up by half
    fits = torch.minimum(MAX_WEIGHT / largest, room / sums)
    return torch.floor(torch.log2(fits)).clamp(-MAX_EXPONENT, MAX_EXPONENT)


def differences(
    network: PlaneNetwork, layers: Int8Layers, samples: Sequence[Sample], card: Card
) -> dict[str, float]:
    """What quantising costs on `samples`: differences of probabilities, and voxels that change
    sides of 0.5; the fields of the card's `Int8` by their names."""
    spec = require_int8(network.spec, card.name)
    floats = Predictor(copy.deepcopy(network), "cpu", temperatures=card.temperatures)
    whole = Int8Predictor(layers, spec, temperatures=card.temperatures)
    total, largest, changed, count = 0.0, 0.0, 0, 0
    with torch.inference_mode():
        for planes, constants in samples:
            exact, found = floats(planes, constants), whole(planes, constants)
            apart = (found - exact).abs()
            largest, total = max(largest, float(apart.max())), total + float(apart.double().sum())
            changed += int(((found >= 0.5) != (exact >= 0.5)).sum())
            count += apart.numel()
    return {
        "largest_difference": largest,
        "mean_difference": total / count,
        "changed_sides": changed / count,
    }
