"""The description of the network of Etch-a-Cell (`etchacell.py`): what it sees and costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal

from volproc.model.spec import PlaneSpec

BLOCK_REACH = 2


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
