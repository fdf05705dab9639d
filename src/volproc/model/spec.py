"""What the descriptions of our own networks have in common: planes in and out, and their reach."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal

from volproc.errors import ModelError

LARGEST = 4096
"""Number in a description: more no network has, and making one would take for ever."""
MAX_LEVELS = 12
"""Its stride doubles with every level."""

Block = Literal["plain", "residual", "separable"]
"""What a U-Net's convolutions are made of."""
Skips = Literal["concat", "add"]
"""How a U-Net's decoder takes the encoder's planes: beside its own, or added to them."""
Freeze = Literal["nothing", "encoder", "body"]
"""What of a network learns nothing: its way down, or all but its head."""


@dataclass(frozen=True)
class PlaneSpec(ABC):
    """A network that reads neighbouring planes as channels and predicts the central ones."""

    slices_in: int = 1
    """Neighbouring planes read, as channels."""
    slices_out: int = 1
    """Planes predicted: the central ones of those read."""
    classes: int = field(default=1, kw_only=True)
    """Kinds of objects, each with planes of its own."""

    def _require_usual(self, levels: int, *numbers: int) -> None:
        """ModelError for numbers that no network has."""
        everything = (self.slices_in, self.slices_out, self.classes, levels, *numbers)
        if min(everything) < 1:
            raise ModelError(f"every number of a network needs to be at least 1, got {self}")
        if max(everything) > LARGEST or levels > MAX_LEVELS:
            raise ModelError(
                f"no number of a network may be larger than {LARGEST}, nor its levels more than "
                f"{MAX_LEVELS}, got {self}"
            )

    def __post_init__(self) -> None:
        if self.slices_out > self.slices_in or (self.slices_in - self.slices_out) % 2:
            raise ModelError(
                f"{self.slices_out} slices out cannot be the centre of {self.slices_in} slices in: "
                "take no more out than in, and both even or both odd"
            )

    @property
    def channels_out(self) -> int:
        """Planes predicted, of all classes."""
        return self.classes * self.slices_out

    @property
    def margin(self) -> int:
        """Planes read on either side of those predicted."""
        return (self.slices_in - self.slices_out) // 2

    @property
    @abstractmethod
    def stride(self) -> int:
        """Pixels by which tile origins may differ; heights and widths are multiples of it."""

    @property
    def reach(self) -> int:
        """Receptive-field radius in pixels: an output depends on no input further away.

        Exact: some output of each `stride` x `stride` cell does depend on an input that far.
        """
        seen = ((p, *self._sees(p)) for p in range(self.stride))
        return max(max(p - low, high - p) for p, low, high in seen)

    @property
    def halo(self) -> int:
        """Context in pixels for a tile that starts and ends on multiples of `stride`; one itself.

        Often less than `reach` rounded up: the pixel that sees furthest to one side is the one that
        lies deepest inside its cell.
        """
        low, high = self._sees(0)[0], self._sees(self.stride - 1)[1]
        return -(-max(-low, high - self.stride + 1) // self.stride) * self.stride

    @abstractmethod
    def _sees(self, pixel: int) -> tuple[int, int]:
        """First and last input pixel that output `pixel` depends on, along one axis."""
