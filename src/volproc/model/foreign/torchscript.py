"""TorchScript: a program, which may write files; read only if its maker is trusted."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from volproc.errors import ModelError
from volproc.model.foreign.runnable import Cost, not_finite, renamed
from volproc.model.foreign.torch_cost import torch_cost

WHOLE_TILE = ("instance_norm", "group_norm", "adaptive_avg_pool", "scaled_dot_product_attention")
"""Operations that look at all of a tile, as torch names them."""


class TorchScriptNetwork:
    """A scripted or traced module in eval mode."""

    shape: tuple[int | None, ...] | None = None

    def __init__(self, data: bytes, *, where: str, device: str) -> None:
        self._where = where
        with renamed(f"{where} is not TorchScript"), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch 2.13: the whole format
            load: Any = torch.jit.load  # untyped
            self._module = load(io.BytesIO(data), map_location=device).eval()
        require_numbers(self._module.state_dict().items(), where=where)
        self.whole_tile = found_in(_kinds(self._module.inlined_graph))
        self.weight_bytes = len(data)

    def __call__(self, values: Tensor) -> Tensor:
        """The first output."""
        with renamed(f"{self._where} does not take {tuple(values.shape)}"):
            return first_tensor(self._module(values), where=self._where)

    def cost(self, values: Tensor) -> Cost:
        """Counted in a run."""
        return torch_cost(lambda: self(values))


def first_tensor(answer: Any, *, where: str) -> Tensor:
    """The tensor that a network answered, or the first of several, as float32."""
    while isinstance(answer, (tuple, list)) and answer:
        answer = answer[0]
    if not isinstance(answer, Tensor):
        raise ModelError(f"{where} answers a {type(answer).__name__}, expected a tensor")
    return answer.float()


def require_numbers(weights: Iterable[tuple[str, Any]], *, where: str) -> None:
    """ModelError that names the first of the `weights` that holds NaN or infinity."""
    for name, value in weights:
        floats = isinstance(value, Tensor) and value.is_floating_point()
        if floats and not bool(torch.isfinite(value).all()):
            raise not_finite(where, name)


def _kinds(block: Any) -> Iterator[str]:
    """Of all operations in a graph or block, and in the blocks of branches and loops."""
    for node in block.nodes():
        yield node.kind()
        for inner in node.blocks():
            yield from _kinds(inner)


def found_in(kinds: Iterable[str]) -> tuple[str, ...]:
    """The names of `WHOLE_TILE` among a graph's operations."""
    kinds = set(kinds)
    return tuple(name for name in WHOLE_TILE if any(name in kind for kind in kinds))
