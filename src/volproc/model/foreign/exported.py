"""torch.export's .pt2: a graph, which torch unpickles in parts; read only if its maker is trusted.

Custom objects and odd tensors in such an archive are pickles, sizes are text that is evaluated.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.export.passes import move_to_device_pass

from volproc.model.foreign.runnable import renamed
from volproc.model.foreign.torch_module import TorchModule, found_in, require_numbers


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
