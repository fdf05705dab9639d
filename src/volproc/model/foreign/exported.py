"""torch.export's .pt2: a graph, which torch unpickles in parts; read only if its maker is trusted.

Custom objects and odd tensors in such an archive are pickles, sizes are text that is evaluated.
"""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import Tensor
from torch.export.passes import move_to_device_pass

from volproc.model.foreign.runnable import Cost, renamed
from volproc.model.foreign.torch_cost import torch_cost
from volproc.model.foreign.torchscript import first_tensor, found_in, require_numbers


class ExportedNetwork:
    """An exported program as a module."""

    def __init__(self, data: bytes, *, where: str, device: str) -> None:
        self._where = where
        with renamed(f"{where} is not a .pt2 of torch.export"):
            program = torch.export.load(io.BytesIO(data))
            require_numbers(program.state_dict.items(), where=where)
            if device != "cpu":
                program = move_to_device_pass(program, device)
            self._module: Any = program.module()
            self.shape = _fixed_sizes(program)
            self.whole_tile = found_in(str(node.target) for node in program.graph.nodes)
        self.weight_bytes = len(data)

    def __call__(self, values: Tensor) -> Tensor:
        """The first output."""
        with renamed(f"{self._where} does not take {tuple(values.shape)}"):
            return first_tensor(self._module(values), where=self._where)

    def cost(self, values: Tensor) -> Cost:
        """Counted in a run."""
        return torch_cost(lambda: self(values))


def _fixed_sizes(program: Any) -> tuple[int | None, ...] | None:
    """Sizes of the input that the export fixed; None where it may vary."""
    names = program.graph_signature.user_inputs
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in names:
            shape = node.meta["val"].shape
            return tuple(int(n) if isinstance(n, int) else None for n in shape)
    return None
