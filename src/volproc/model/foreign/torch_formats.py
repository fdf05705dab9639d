"""Torch's own formats: TorchScript and torch.export, read only if their maker is trusted.

TorchScript is a program, which may write files. Of a .pt2 torch unpickles custom objects and odd
tensors, and sizes are text that is evaluated."""

from __future__ import annotations

import io
import logging
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.export.passes import move_to_device_pass
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from volproc.errors import ModelError
from volproc.model.foreign.runnable import Cost, not_finite, renamed

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
            output = self.module(values)
            while isinstance(output, (tuple, list)) and output:
                output = output[0]
            if not isinstance(output, Tensor):
                raise ModelError(
                    f"{self.where} returns a {type(output).__name__}, expected a tensor"
                )
            return output.float()

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


def torch_cost(run: Callable[[], Any]) -> Cost:
    """Of `run()`: operations (2 per multiply-add), and bytes of the tensors alive at most."""
    alive = _Alive()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter, alive:
        run()
    return Cost(int(counter.get_total_flops()), alive.most)


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]  # as torch has it
    """Adds up storages that operations make, until they are freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._now = 0
        self.most = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor):
                self._count(value.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._seen:
            self._seen.add(key)
            self._now += size
            self.most = max(self.most, self._now)
            weakref.finalize(storage, self._freed, key, size)

    def _freed(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self._now -= size


def load_exported(data: bytes, *, where: str, device: str) -> TorchModule:
    """An exported program as a module; ModelError if `data` is none."""
    with renamed(f"{where} is not a .pt2 of torch.export"), _silent("torch.export"):
        program = torch.export.load(io.BytesIO(data))
        require_numbers(program.state_dict.items(), where=where)
        if device != "cpu":
            program = move_to_device_pass(program, device)
        layers = found_in(str(node.target) for node in program.graph.nodes)
        return TorchModule(program.module(), where, len(data), layers, _fixed_sizes(program))


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """What torch logs of a file that it cannot read, a traceback, would bury the error's line."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _fixed_sizes(program: Any) -> tuple[int | None, ...] | None:
    """Sizes of the input that the export fixed; None where it may vary."""
    names = program.graph_signature.user_inputs
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in names:
            shape = node.meta["val"].shape
            return tuple(int(n) if isinstance(n, int) else None for n in shape)
    return None


def load_torchscript(data: bytes, *, where: str, device: str) -> TorchModule:
    """A scripted or traced module in eval mode; ModelError if `data` is none."""
    with renamed(f"{where} is not TorchScript"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch 2.13: the whole format
        load: Any = torch.jit.load  # untyped
        module = load(io.BytesIO(data), map_location=device).eval()
    require_numbers(module.state_dict().items(), where=where)
    return TorchModule(module, where, len(data), found_in(_kinds(module.inlined_graph)))


def _kinds(block: Any) -> Iterator[str]:
    """Of all operations in a graph or block, and in the blocks of branches and loops."""
    for node in block.nodes():
        yield node.kind()
        for inner in node.blocks():
            yield from _kinds(inner)
