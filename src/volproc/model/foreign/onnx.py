"""ONNX through onnxruntime, on a GPU if its CUDA provider is there. A graph is data, not code."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from volproc.errors import (
    INSTALL,
    ModelError,
)
from volproc.model.foreign.runnable import (
    Cost,
    not_finite,
    renamed,
)

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
        # where CUDA is not as it needs it, it takes the CPU
        if not set(requested) <= set(self._session.get_providers()):
            raise ModelError(
                f"{where} was planned to run on a GPU, but onnxruntime finds no CUDA that it can "
                "use; pip install onnxruntime-gpu in place of onnxruntime, for the CUDA of this "
                'machine, or take [predict] device = "cpu"'
            )
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
            f"ONNX models need onnx and onnxruntime: {INSTALL.format('onnx')}, or "
            "onnxruntime-gpu in its place"
        ) from error
    return onnxruntime


Shapes = dict[str, tuple[int, ...]]

SMALL = 1024
"""Weights of fewer values may be sizes that shapes follow from."""


def parsed(data: bytes, *, where: str) -> Any:
    """The model; ModelError unless it is whole, of a known opset, and its weights are numbers."""
    import onnx

    with renamed(f"{where} is not an ONNX model"):
        model = onnx.load_from_string(data)
    for used in model.opset_import:
        most = onnx.defs.onnx_opset_version()
        if used.domain in ("", "ai.onnx") and used.version > most:
            raise ModelError(
                f"{where} is of ONNX opset {used.version}, up to {most} are known here; "
                "pip install -U onnx onnxruntime, or export it with an older opset"
            )
    for name, tensor in _weights(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise ModelError(
                f"{where} keeps weights in another file ({name}); save it as one: "
                "onnx.save(onnx.load(PATH), NEW_PATH)"
            )
        with renamed(f"{where}: weights {name!r} are damaged"):
            values = onnx.numpy_helper.to_array(tensor)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise not_finite(where, name)
    return model


def nodes(graph: Any) -> list[Any]:
    """All nodes, those of subgraphs too."""
    bodies = [
        body
        for node in graph.node
        for attribute in node.attribute
        for body in ([attribute.g] if attribute.HasField("g") else [*attribute.graphs])
    ]
    return [*graph.node, *(node for body in bodies for node in nodes(body))]


def without_weights(model: Any) -> Any:
    """`model` itself, its large weights now but shapes; enough to know what a run costs."""
    for tensor in model.graph.initializer:
        if prod(tensor.dims) > SMALL:
            for field in ("raw_data", "float_data", "double_data", "int32_data", "int64_data"):
                tensor.ClearField(field)
    return model


def graph_cost(model: Any, name: str, shape: tuple[int, ...]) -> Cost:
    """Of a run on an input `name` of `shape`: convolutions and products; values alive at once."""
    shapes = _shapes(model, name, shape)
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    order = [node for node in model.graph.node if node.op_type != "Constant"]
    last = {value: n for n, node in enumerate(order) for value in node.input}
    alive = most = flop = 0
    for n, node in enumerate(order):
        flop += _flop(node, {**shapes, **weights})
        alive += sum(_bytes(value, shapes) for value in node.output)
        most = max(most, alive)
        done = {*node.input, *node.output} - {name}
        alive -= sum(_bytes(value, shapes) for value in done if last.get(value, 0) <= n)
    return Cost(flop, most + 2 * 4 * prod(shape))


def _shapes(model: Any, name: str, shape: tuple[int, ...]) -> Shapes:
    """The shapes of all computed values, as far as they follow from that of the input."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.ClearField("value_info")
    for value in copy.graph.input:
        if value.name == name:
            for axis, size in zip(value.type.tensor_type.shape.dim, shape, strict=True):
                axis.dim_value = size
    for value in copy.graph.output:
        value.type.tensor_type.ClearField("shape")
    with renamed("the shapes in the ONNX graph do not fit together"):
        found = onnx.shape_inference.infer_shapes(copy, data_prop=True).graph
    values = (*found.value_info, *found.output)
    return {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}


def _flop(node: Any, shapes: Shapes) -> int:
    """2 per multiply-add, of the nodes that take the time."""
    first, second, out = (
        shapes.get(value, ())
        for value in (*node.input[:2], *[""] * (2 - len(node.input)), node.output[0])
    )
    if node.op_type == "Conv":
        return 2 * prod(out) * prod(second[1:])
    if node.op_type == "ConvTranspose":
        return 2 * prod(first) * prod(second[1:])
    if node.op_type in ("MatMul", "Gemm"):
        return 2 * prod(out) * (first[-1] if first else 0)
    return 0


def _bytes(value: str, shapes: Shapes) -> int:
    return 4 * prod(shapes.get(value, (0,)))


def _weights(graph: Any) -> list[tuple[str, Any]]:
    constants = [
        (node.output[0], attribute.t)
        for node in nodes(graph)
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.HasField("t")
    ]
    return [*((tensor.name, tensor) for tensor in graph.initializer), *constants]
