"""A stranger's module of torch once it is loaded, whichever of torch's formats it came in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from volproc.errors import ModelError
from volproc.model.foreign.runnable import Cost, not_finite, renamed
from volproc.model.foreign.torch_cost import torch_cost

WHOLE_TILE = ("instance_norm", "group_norm", "adaptive_avg_pool", "scaled_dot_product_attention")
"""Operations that look at all of a tile, as torch names them."""


@dataclass
class TorchModule:
    """Runs `module`; the fields are those of a `Runnable`."""

    module: Any
    where: str
    weight_bytes: int
    whole_tile: tuple[str, ...]
    shape: tuple[int | None, ...] | None = None

    def __call__(self, values: Tensor) -> Tensor:
        """The first output, as float32."""
        with renamed(f"{self.where} does not take {tuple(values.shape)}"):
            answer = self.module(values)
            while isinstance(answer, (tuple, list)) and answer:
                answer = answer[0]
            if not isinstance(answer, Tensor):
                raise ModelError(
                    f"{self.where} answers a {type(answer).__name__}, expected a tensor"
                )
            return answer.float()

    def cost(self, values: Tensor) -> Cost:
        """Counted in a run."""
        return torch_cost(lambda: self(values))


def require_numbers(weights: Iterable[tuple[str, Any]], *, where: str) -> None:
    """ModelError that names the first of the `weights` that holds NaN or infinity."""
    for name, value in weights:
        floats = isinstance(value, Tensor) and value.is_floating_point()
        if floats and not bool(torch.isfinite(value).all()):
            raise not_finite(where, name)


def found_in(kinds: Iterable[str]) -> tuple[str, ...]:
    """The names of `WHOLE_TILE` among a graph's operations."""
    kinds = set(kinds)
    return tuple(name for name in WHOLE_TILE if any(name in kind for kind in kinds))
