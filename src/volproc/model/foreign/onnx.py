"""ONNX through onnxruntime, on a GPU if its CUDA provider is there. A graph is data, not code."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from volproc.errors import ModelError
from volproc.model.foreign.onnx_graph import graph_cost, nodes, parsed, without_weights
from volproc.model.foreign.runnable import Cost, renamed

WHOLE_TILE = {
    "InstanceNormalization",
    "GroupNormalization",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GlobalLpPool",
    "Attention",
}

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
}


class OnnxNetwork:
    """A graph in a session."""

    def __init__(self, data: bytes, *, where: str, device: str) -> None:
        runtime = _runtime()
        model = parsed(data, where=where)
        self._where = where
        self.whole_tile = tuple(sorted({node.op_type for node in nodes(model.graph)} & WHOLE_TILE))
        self.weight_bytes = len(data)
        self._skeleton = without_weights(model)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # its own log would be a second line
        requested = ["CUDAExecutionProvider"] * (device != "cpu") + ["CPUExecutionProvider"]
        there = [name for name in requested if name in runtime.get_available_providers()]
        with renamed(f"onnxruntime cannot run {where}"):
            self._session = runtime.InferenceSession(data, options, providers=there)
        given = self._session.get_inputs()
        if len(given) != 1 or given[0].type not in _TYPES:
            kinds = ", ".join(f"{one.name} {one.type}" for one in given)
            raise ModelError(f"{where} wants {kinds}; there is one input here, numbers of an image")
        self._input = given[0]
        sizes = (n if isinstance(n, int) and n > 0 else None for n in given[0].shape)
        self.shape: tuple[int | None, ...] | None = tuple(sizes)

    def __call__(self, values: Tensor) -> Tensor:
        """The first output."""
        array = values.cpu().numpy().astype(_TYPES[self._input.type], copy=False)
        with renamed(f"{self._where} does not take {tuple(values.shape)}"):
            found = self._session.run(None, {self._input.name: array})[0]
        return torch.from_numpy(np.asarray(found, dtype=np.float32)).to(values.device)

    def cost(self, values: Tensor) -> Cost:
        """Counted in the graph, for the shapes that follow from the input's."""
        return graph_cost(self._skeleton, self._input.name, tuple(values.shape))


def _runtime() -> Any:
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            "ONNX models need onnx and onnxruntime: pip install 'volproc[onnx]', or "
            "onnxruntime-gpu in its place"
        ) from error
    return onnxruntime
