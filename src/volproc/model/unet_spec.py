"""The description of a U-Net (`unet.py`): what it sees and costs, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import get_args

from volproc.errors import ModelError
from volproc.model.spec import Block, PlaneSpec, Skips


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
