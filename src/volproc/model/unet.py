"""A U-Net from a small description: planes in as channels, planes of logits out.

        slices_in planes                                  slices_out planes of each class
        │ stem: s x s pixels become channels                        ▲ pixels back, 1x1 convolution
        convs_down ──────────────────── skip ───────────────── convs_up
          │ max of 2x2                                            ▲ transposed 2x2
          convs_down ────────────────── skip ──────────────── convs_up
            └───────────────── ... deepest level ...  ───────────┘

Every convolution is 3x3 with zeros around, then BatchNorm with running statistics, then ReLU: the
output at a pixel depends on the pixels within `reach` alone, and not on the tile it lies in (with
Group- or InstanceNorm it would). All up- and downsampling is 2x2 in 2x2 out, so two tiles whose
origins differ by a multiple of `stride` see the same network.

Variants see equally far and cost other amounts. `block`: residual convolutions add what they
read, from the second of a level on (He et al., CVPR 2016); separable ones are a 3x3 convolution
within each channel and a 1x1 across them (Chollet, CVPR 2017), but for the first of all. `skips`:
the encoder's planes beside those lifted, or added to them, which halves what follows.

The stem buys context cheaply: with stem 2 no convolution runs at full resolution, which
costs a quarter of the arithmetic and halves the tile's memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from volproc.errors import ModelError
from volproc.model.output_window import OutputWindow, regions
from volproc.model.spec import PlaneSpec

Block = Literal["plain", "residual", "separable"]
Skips = Literal["concat", "add"]


@dataclass(frozen=True)
class UNetSpec(PlaneSpec):
    """What a network is made of; networks of one spec have weights of the same shapes."""

    widths: tuple[int, ...] = (32, 64, 96, 128)
    """Channels per level, finest first; each level halves the resolution."""
    stem: int = 2
    """Pixels of a side that the stem turns into channels; 1 for none."""
    convs_down: int = 2
    """Convolutions per level of the encoder."""
    convs_up: int = 1
    """Convolutions per level of the decoder."""
    block: Block = "plain"
    """What convolutions are made of."""
    skips: Skips = "concat"
    """How the decoder takes the encoder's planes: beside its own, or added to them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        levels = len(self.widths)
        self._require_usual(levels, self.stem, self.convs_down, self.convs_up, *self.widths)
        for value, known in ((self.block, Block), (self.skips, Skips)):
            if value not in get_args(known):
                raise ModelError(
                    f"a network's {value!r} is none of {', '.join(get_args(known))}, got {self}"
                )
        super().__post_init__()

    @property
    def stride(self) -> int:
        """Pixels by which tile origins may differ; heights and widths are multiples of it."""
        return self.stem << (len(self.widths) - 1)

    def _sees(self, pixel: int) -> tuple[int, int]:
        low, high = self._needs(0, pixel // self.stem, pixel // self.stem)
        return low * self.stem, high * self.stem + self.stem - 1

    def _needs(self, level: int, low: int, high: int) -> tuple[int, int]:
        """The interval of the level's input behind the interval `low`..`high` of its output."""
        if level < len(self.widths) - 1:
            low, high = low - self.convs_up, high + self.convs_up
            deep_low, deep_high = self._needs(level + 1, low // 2, high // 2)
            low, high = min(low, 2 * deep_low), max(high, 2 * deep_high + 1)
        return low - self.convs_down, high + self.convs_down

    def flop(self, height: int, width: int, requested: tuple[int, int] | None = None) -> int:
        """Floating-point operations for `height` x `width` pixels, 2 per multiply-add.

        `requested` are the height and width of the output, if not all. Convolutions only, without
        the few pixels more that the decoder needs around those requested.
        """
        pixels = height * width // self.stem**2
        predicted = prod(requested) // self.stem**2 if requested else pixels
        total = 0
        for level, (before, here) in enumerate(pairwise((self._stem_channels, *self.widths))):
            first = 9 * before * here if level == 0 else self._products(before, here)
            more = (self.convs_down - 1) * self._products(here, here)
            total += (pixels >> 2 * level) * (first + more)
        for level, (here, below) in enumerate(pairwise(self.widths)):
            more = (self.convs_up - 1) * self._products(here, here)
            ups = here * below + self._products(self.joined(here), here) + more
            total += (predicted >> 2 * level) * ups
        return 2 * (total + predicted * self.widths[0] * self.channels_out * self.stem**2)

    def activation_bytes(self, height: int, width: int) -> int:
        """Memory of one inference over `height` x `width` pixels in float32, an upper estimate.

        The planes (normalised, and as channels), the skips of all levels, and what the finest
        level holds at its widest: concatenation, convolution and its normalised copy.
        """
        pixels = height * width // self.stem**2
        skips = sum((pixels >> 2 * level) * wide for level, wide in enumerate(self.widths))
        planes = 2 * self._stem_channels + 2 * self.channels_out * self.stem**2
        return 4 * (skips + pixels * (planes + 5 * self.widths[0]))

    def joined(self, width: int) -> int:
        """Channels of a level's skip and what is lifted to it, `width` each, put together."""
        return 2 * width if self.skips == "concat" else width

    def _products(self, before: int, after: int) -> int:
        """Multiply-adds per pixel of a convolution."""
        separable = self.block == "separable"
        return before * (9 + after) if separable else 9 * before * after

    @property
    def _stem_channels(self) -> int:
        return self.slices_in * self.stem**2


class _Residual(nn.Module):
    """Adds what it reads to the convolution of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, values: Tensor) -> Tensor:
        return nn.functional.relu(values + self.body(values))


def _convolutions(
    before: int, after: int, count: int, *, block: Block, dense: bool = False
) -> nn.Sequential:
    """`count` convolutions in a row; the first is no separable one if `dense`."""
    layers: list[nn.Module] = []
    for index in range(count):
        wide = before if index == 0 else after
        if block == "residual" and index > 0:
            layers.append(_Residual(after))
            continue
        if block == "separable" and not (dense and index == 0):
            layers.append(nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False))
            layers.append(nn.Conv2d(wide, after, 1, bias=False))
        else:
            layers.append(nn.Conv2d(wide, after, 3, padding=1, bias=False))
        layers += [nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Logits (N, classes x slices_out, H, W) from normalised planes (N, slices_in, H, W).

    H and W are multiples of `spec.stride`.
    """

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__()
        self.spec = spec
        steps = list(pairwise(spec.widths))
        befores = (spec.slices_in * spec.stem**2, *spec.widths[:-1])
        self.stem: nn.Module = nn.PixelUnshuffle(spec.stem)
        self.down = nn.ModuleList(
            _convolutions(before, here, spec.convs_down, block=spec.block, dense=level == 0)
            for level, (before, here) in enumerate(zip(befores, spec.widths, strict=True))
        )
        self.lift = nn.ModuleList(nn.ConvTranspose2d(below, here, 2, 2) for here, below in steps)
        self.up = nn.ModuleList(
            _convolutions(spec.joined(here), here, spec.convs_up, block=spec.block)
            for here, _ in steps
        )
        self.head = nn.Conv2d(spec.widths[0], spec.channels_out * spec.stem**2, 1)

    def forward(self, planes: Tensor, requested: OutputWindow | None = None) -> Tensor:
        """Logits of normalised planes at the `requested` pixels, multiples of the stem."""
        kept = regions(
            requested, planes, stem=self.spec.stem, levels=len(self.down), reach=self.spec.convs_up
        )
        values: Tensor = self.stem(planes)
        skips: list[Tensor] = []
        for level, convolve in enumerate(self.down):
            values = convolve(values if level == 0 else nn.functional.max_pool2d(values, 2))
            skips.append(values)
        seen = None
        for level in reversed(range(len(self.up))):
            lifted = self.lift[level](kept[level + 1].of(values, seen))
            seen = kept[level + 1].raised()
            skip = seen.of(skips[level])
            added = self.spec.skips == "add"
            values = self.up[level](lifted + skip if added else torch.cat([skip, lifted], dim=1))
        logits = kept[0].of(self.head(values), seen)
        return nn.functional.pixel_shuffle(logits, self.spec.stem)
