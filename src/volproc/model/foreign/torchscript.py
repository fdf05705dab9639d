"""TorchScript: a program, which may write files; read only if its maker is trusted."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from volproc.model.foreign.runnable import renamed
from volproc.model.foreign.torch_module import TorchModule, found_in, require_numbers


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
