"""A U-Net in whole numbers, whose results are the same bits on every CPU.

Values between layers are uint8 in steps of 1, and a layer's weights are whole numbers times a
power of two for each of its output channels:

    uint8 ─ minus zero ─▶ sum of products, exact ─▶ x 2^-e, + bias ─▶ rounded, clipped ─▶ uint8

The steps of the activations are in the weights. Sums are below 2^24, and multiplying by a power of
two rounds nothing: float32 holds every number on the way, so the order of the sums, the
instruction set and fused operations change nothing. Weights are within +-63: without VNNI, CPUs
add two products of uint8 and int8 in 16 bits, which overflow from 65 on.

`walk` is the network over any such arithmetic: OpenVINO's (`openvino_graph.py`), or torch's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from volproc.errors import ModelError
from volproc.model.model_folder import INT8, read_file
from volproc.model.normalisation import CLIP
from volproc.model.output_window import Region
from volproc.model.unet_spec import UNetSpec

MAX_WEIGHT = 63
"""Two products of a weight and a uint8 fit into 16 bits: 2 x 255 x 63 < 2^15."""
ZERO = 128
"""What stands for 0 in planes, and in what a decoder's convolution reads: skips and lifted values
beside one another, or their sum."""
INPUT_STEPS = (ZERO - 1) / CLIP
"""Steps per unit of a normalised voxel."""

Node = TypeVar("Node")
Sizes = tuple[int, int, int, int]


@dataclass(frozen=True)
class Int8Layer:
    """A convolution: int8 weights of torch's shape; exponents and int32 biases per channel out.

    Its output is (sum of products + bias) x 2^-exponent.
    """

    weight: npt.NDArray[np.int8]
    exponent: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]

    @property
    def step(self) -> npt.NDArray[np.float32]:
        """2^-exponent of each output channel."""
        return np.exp2(-self.exponent.astype(np.float32))


Int8Layers = dict[str, Int8Layer]
"""By name, see `layer_sizes`."""


class Arithmetic(Protocol[Node]):
    """What `walk` needs; values are (N, channels, H, W)."""

    def convolution(self, values: Node, name: str) -> Node:
        """The layer `name`, its ReLU (all but the head) and its rounding."""

    def lift(self, values: Node, name: str) -> Node:
        """The transposed convolution `name` of stride 2, and its rounding."""

    def pool(self, values: Node) -> Node:
        """The largest of 2 x 2."""

    def join(self, skip: Node, lifted: Node) -> Node:
        """Channels of both."""

    def add(self, skip: Node, lifted: Node, name: str) -> Node:
        """The sum `name` of both, which are in its steps, clipped as a lifted value is."""

    def part(self, values: Node, region: Region, seen: Region | None) -> Node:
        """`region` of `values`, which cover `seen`, or the whole level."""


def walk(
    ops: Arithmetic[Node], spec: UNetSpec, planes: Node, kept: tuple[Region, ...] | None = None
) -> Node:
    """The head's output from quantised planes, of the regions `kept` of each level; None is all."""
    values, skips = planes, []
    for level in range(len(spec.widths)):
        values = ops.pool(values) if level else values
        for n in range(spec.convs_down):
            values = ops.convolution(values, f"down.{level}.{n}")
        skips.append(values)
    seen = None
    for level in reversed(range(len(spec.widths) - 1)):
        below = ops.part(values, kept[level + 1], seen) if kept else values
        seen = kept[level + 1].raised() if kept else None
        skip = ops.part(skips[level], seen, None) if seen else skips[level]
        lifted = ops.lift(below, f"lift.{level}")
        added = spec.skips == "add"
        values = ops.add(skip, lifted, f"sum.{level}") if added else ops.join(skip, lifted)
        for n in range(spec.convs_up):
            values = ops.convolution(values, f"up.{level}.{n}")
    return ops.convolution(ops.part(values, kept[0], seen) if kept else values, "head")


def zero_of(name: str, spec: UNetSpec) -> int:
    """The uint8 that stands for 0 in the output of a layer, or in a sum."""
    beside = spec.skips == "concat" and name in skip_layers(spec)
    return ZERO if beside or name.startswith(("lift", "sum")) else 0


def skip_layers(spec: UNetSpec) -> list[str]:
    """Names of the layers whose output is a skip, by level."""
    return [f"down.{level}.{spec.convs_down - 1}" for level in range(len(spec.widths) - 1)]


def layer_sizes(spec: UNetSpec) -> dict[str, Sizes]:
    """The shape of each layer's weights, by name, in the order in which they are run.

    The stem is folded into the first. Names are down.LEVEL.NUMBER, lift.LEVEL, up.LEVEL.NUMBER and
    head.
    """
    found: dict[str, Sizes] = {}
    widths, first = spec.widths, 3 * spec.stem
    for level, (before, here) in enumerate(pairwise((spec.slices_in, *widths))):
        for n in range(spec.convs_down):
            side = first if level == n == 0 else 3
            found[f"down.{level}.{n}"] = (here, here if n else before, side, side)
    for level, (here, below) in reversed(list(enumerate(pairwise(widths)))):
        found[f"lift.{level}"] = (below, here, 2, 2)
        for n in range(spec.convs_up):
            found[f"up.{level}.{n}"] = (here, here if n else spec.joined(here), 3, 3)
    return found | {"head": (spec.channels_out * spec.stem**2, widths[0], 1, 1)}


def save_layers(layers: Int8Layers) -> bytes:
    """The content of a file of quantised weights."""
    parts = {
        f"{name}.{part}": np.ascontiguousarray(getattr(layer, part))
        for name, layer in layers.items()
        for part in ("weight", "exponent", "bias")
    }
    return save_arrays(parts)


def load_layers(folder: Path | str, spec: UNetSpec, sha256: str) -> Int8Layers:
    """The quantised weights in a model's folder, those of which its card has the digest.

    ModelError for others.
    """
    path = f"{folder}/{INT8}"
    data = read_file(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelError(
            f"{path} is not the file its card was written for (SHA-256 differs); copy the folder "
            "again, or `volproc models quantise` the model again"
        )
    try:
        arrays = load_arrays(data)
        layers = {name: _layer(arrays, name, sizes) for name, sizes in layer_sizes(spec).items()}
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelError(
            f"{path} does not belong to the network of its card ({error}); copy the folder again"
        ) from error
    return layers


def _layer(arrays: dict[str, npt.NDArray[np.generic]], name: str, sizes: Sizes) -> Int8Layer:
    weight, exponent, bias = (arrays[f"{name}.{part}"] for part in ("weight", "exponent", "bias"))
    channels = sizes[1 if name.startswith("lift") else 0]
    found = (weight.shape, exponent.shape, bias.shape)
    if found != (sizes, (channels,), (channels,)):
        raise ValueError(f"{name} has sizes {found}")
    return Int8Layer(weight.astype(np.int8), exponent.astype(np.int8), bias.astype(np.int32))
