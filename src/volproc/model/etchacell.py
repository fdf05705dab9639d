"""The network of Etch-a-Cell, written from its description: an Inception-style U-Net.

        12 planes                                              12 planes, of which the caller keeps
        │                                                      ▲ the central ones; 1x1 convolution
        towers ───────────────────── skip ────────────────── towers
          │ max of 2x2                                         ▲ transposed 3x3, stride 2
          towers ──────────────────── skip ────────────────── towers
            └────────────────── ... deepest level ... ───────────┘

A block has three towers of `dim` channels each (1x1 then 3x3; 1x1 then 5x5; greatest of 3x3 then
1x1), LeakyReLU after every convolution, and gives its own input and the towers, side by side.
`dim` doubles with every level. Only the deepest block has a BatchNorm, on its input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn

from volproc.model.output_window import OutputWindow, regions
from volproc.model.spec import PlaneSpec

SLOPE = 0.1
"""Of the LeakyReLU for negative values."""
BATCH_NORM_EPS = 1e-3
BLOCK_REACH = 2
"""Pixels that a block sees to either side: its 5x5 convolution."""
DROPOUT = 0.3


@dataclass(frozen=True)
class EtchACellSpec(PlaneSpec):
    """What a network is made of; by default the published one, of 30,030,484 parameters."""

    slices_in: int = 12
    slices_out: int = 12
    start: int = 32
    """Channels of a tower at the finest level."""
    levels: int = 5
    """Blocks of the encoder, the deepest one included."""
    kind: Literal["etchacell"] = "etchacell"
    """Tells its card from another network's."""

    def __post_init__(self) -> None:
        self._require_usual(self.levels, self.start)
        super().__post_init__()

    @property
    def stride(self) -> int:
        """Pixels by which tile origins may differ; heights and widths are multiples of it."""
        return 1 << (self.levels - 1)

    def _sees(self, pixel: int) -> tuple[int, int]:
        # the transposed convolutions look back only: more is seen before a pixel than behind it
        return self._needs(0, pixel, pixel)

    def _needs(self, level: int, low: int, high: int) -> tuple[int, int]:
        """The interval of the level's input behind the interval `low`..`high` of its output."""
        if level < self.levels - 1:
            low, high = low - BLOCK_REACH, high + BLOCK_REACH
            deep_low, deep_high = self._needs(level + 1, (low - 1) // 2, high // 2)
            low, high = min(low, 2 * deep_low), max(high, 2 * deep_high + 1)
        return low - BLOCK_REACH, high + BLOCK_REACH

    def flop(self, height: int, width: int, requested: tuple[int, int] | None = None) -> int:
        """Floating-point operations for `height` x `width` pixels, 2 per multiply-add.

        `requested` are the height and width of the output, if not all. Convolutions only, without
        the few pixels more that the decoder needs around those requested.
        """
        predicted = prod(requested) if requested else height * width
        total = predicted * self.channels[-1] * self.channels_out
        for level, (before, below) in enumerate(self._ups()):
            pixels, dim = predicted >> 2 * level, self.start << level
            total += pixels // 4 * 9 * below * dim + _block_products(pixels, before, dim)
        for level, before in enumerate(self._downs()):
            pixels, dim = height * width >> 2 * level, self.start << level
            total += _block_products(pixels, before, dim)
        return 2 * total

    def activation_bytes(self, height: int, width: int) -> int:
        """Memory of one inference over `height` x `width` pixels in float32, an upper estimate.

        The skips of all levels, and what the finest level holds at its widest: a block's input,
        its output, and the towers before they are put side by side.
        """
        pixels = height * width
        skips = sum((pixels >> 2 * n) * wide for n, wide in enumerate(self.channels[: self.levels]))
        return 4 * (skips + pixels * (2 * self.channels[-1] + 4 * self.start))

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels that each block outputs, encoder first, then decoder."""
        down = [before + 3 * (self.start << n) for n, before in enumerate(self._downs())]
        up = [before + 3 * (self.start << n) for n, (before, _) in enumerate(self._ups())]
        return (*down, *reversed(up))

    def _downs(self) -> Iterator[int]:
        """Channels into each block of the encoder, finest first."""
        wide = self.slices_in
        for level in range(self.levels):
            yield wide
            wide += 3 * (self.start << level)

    def _ups(self) -> list[tuple[int, int]]:
        """Channels into each block of the decoder, finest first; and out of the block below it."""
        downs = [*self._downs()]
        below = downs[-1] + 3 * (self.start << (self.levels - 1))
        found = []
        for level in reversed(range(self.levels - 1)):
            before = downs[level + 1] + (self.start << level)
            found.append((before, below))
            below = before + 3 * (self.start << level)
        return found[::-1]


def _block_products(pixels: int, before: int, dim: int) -> int:
    return pixels * (3 * before * dim + (9 + 25) * dim * dim)


class PlaneDropout(nn.Module):
    """Drops whole channels in training, which ones following from the number of the step alone.

    torch's own draws from a state that no checkpoint holds, so a training that was interrupted
    would end with other weights.
    """

    def forward(self, values: Tensor, step: Tensor) -> Tensor:
        """`values` (N, C, H, W) with a share of `DROPOUT` of their channels 0, the others more."""
        if not self.training:
            return values
        chance = torch.Generator().manual_seed(int(step))
        kept = torch.rand(values.shape[:2], generator=chance) >= DROPOUT
        return values * (kept.to(values) / (1 - DROPOUT))[..., None, None]


class _Towers(nn.Module):
    """A block: its input, and beside it three towers of `dim` channels."""

    def __init__(self, before: int, dim: int, *, deepest: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(before, eps=BATCH_NORM_EPS) if deepest else None
        self.dropout = PlaneDropout()
        act = partial(nn.LeakyReLU, SLOPE)
        self.three = nn.Sequential(
            nn.Conv2d(before, dim, 1), act(), nn.Conv2d(dim, dim, 3, padding=1), act()
        )
        self.five = nn.Sequential(
            nn.Conv2d(before, dim, 1), act(), nn.Conv2d(dim, dim, 5, padding=2), act()
        )
        self.pool = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1), act(), nn.Conv2d(before, dim, 1), act()
        )

    def forward(self, values: Tensor) -> Tensor:
        if self.norm:
            values = self.dropout(self.norm(values), self.norm.num_batches_tracked)
        towers = (self.three(values), self.five(values), self.pool(values))
        return torch.cat([values, *towers], dim=1)


class EtchACell(nn.Module):
    """Logits (N, classes x slices_out, H, W) from normalised planes (N, slices_in, H, W).

    H and W are multiples of `spec.stride`. Probabilities are the sigmoid of the logits.
    """

    def __init__(self, spec: EtchACellSpec) -> None:
        super().__init__()
        self.spec = spec
        deepest = spec.levels - 1
        self.down = nn.ModuleList(
            _Towers(before, spec.start << n, deepest=n == deepest)
            for n, before in enumerate(spec._downs())
        )
        self.lift = nn.ModuleList(
            nn.ConvTranspose2d(below, spec.start << n, 3, stride=2)
            for n, (_, below) in enumerate(spec._ups())
        )
        self.up = nn.ModuleList(
            _Towers(before, spec.start << n, deepest=False)
            for n, (before, _) in enumerate(spec._ups())
        )
        self.head = nn.Conv2d(spec.channels[-1], spec.channels_out, 1)

    def forward(self, planes: Tensor, requested: OutputWindow | None = None) -> Tensor:
        """Logits for normalised planes: of the `requested` rows and columns."""
        kept = regions(requested, planes, levels=self.spec.levels, reach=BLOCK_REACH, back=1)
        values, skips = planes, []
        for level, towers in enumerate(self.down):
            values = towers(values if level == 0 else nn.functional.max_pool2d(values, 2))
            skips.append(values)
        seen = None
        for level in reversed(range(len(self.up))):
            # one row and column too many: what is beyond the end goes, as in TensorFlow's "same"
            lifted = self.lift[level](kept[level + 1].of(values, seen))[..., :-1, :-1]
            raised = nn.functional.leaky_relu(lifted, SLOPE)
            seen = kept[level + 1].raised()
            values = self.up[level](torch.cat([seen.of(skips[level]), raised], dim=1))
        return kept[0].of(self.head(values), seen)
