"""What the formats have in common once a file is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from volproc.errors import ModelError


@dataclass(frozen=True)
class Cost:
    """Of one run: operations (2 per multiply-add) and bytes of activations at the most."""

    flop: int
    bytes: int


class Runnable(Protocol):
    """A loaded network: one tensor in, one out, float32, on its device."""

    shape: tuple[int | None, ...] | None
    """Sizes of its input that are fixed in the file; None where unknown."""
    whole_tile: tuple[str, ...]
    """Layers in its graph that look at all of a tile at once, such as InstanceNorm."""
    weight_bytes: int

    def __call__(self, values: Tensor) -> Tensor:
        """The output; ModelError if the network does not take `values`."""

    def cost(self, values: Tensor) -> Cost:
        """What a run on such `values` costs."""


@contextmanager
def renamed(doing: str) -> Iterator[None]:
    """Whatever a format's library raises becomes a ModelError of one line."""
    try:
        yield
    except (ModelError, MemoryError):
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # TorchScript puts a traceback of the network's code first
        message = next((line for line in reversed(lines) if "Error:" in line), "") or " ".join(
            lines
        )
        raise ModelError(f"{doing}: {message[:300] or type(error).__name__}") from error


def not_finite(where: str, name: str) -> ModelError:
    """The error for weights that are not numbers."""
    return ModelError(f"{where}: weights {name!r} hold NaN or infinity; take another file of it")
