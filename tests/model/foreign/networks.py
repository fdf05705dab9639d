"""Tiny networks as others would bring them: TorchScript, .pt2, ONNX, bioimage.io packages."""

import hashlib
import io
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
import yaml
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from volproc.model.foreign.torch_formats import torch_cost


class Plain:
    """A torch module as the formats give it."""

    shape = None
    whole_tile = ()
    weight_bytes = 0

    def __init__(self, module):
        self.module = module.eval()

    def __call__(self, values):
        return self.module(values)

    def cost(self, values):
        return torch_cost(lambda: self.module(values))


def two_levels(dims=2, *, planes=1, norm=None):
    """Convolution, pooling by 2, convolution, back up, 1x1: stride 2, halo 4; probabilities."""
    torch.manual_seed(0)
    conv = nn.Conv2d if dims == 2 else nn.Conv3d
    pool = nn.MaxPool2d if dims == 2 else nn.MaxPool3d
    layers = [conv(planes, 4, 3, padding=1), nn.ReLU(), pool(2), conv(4, 4, 3, padding=1)]
    layers += [norm] if norm else []
    layers += [nn.Upsample(scale_factor=2.0), conv(4, planes, 1), nn.Sigmoid()]
    return nn.Sequential(*layers).eval()


def script_of(module, planes=1, dims=2):
    """TorchScript bytes."""
    example = torch.zeros(1, planes, *[16] * dims)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # all of TorchScript is deprecated
        torch.jit.save(torch.jit.trace(module, example), buffer)
    return buffer.getvalue()


def pt2_of(module, planes=1, dims=2):
    """torch.export bytes; batch and sides may vary, by multiples of 2."""
    free = {0: torch.export.Dim.AUTO, **{2 + n: torch.export.Dim.AUTO for n in range(dims)}}
    example = torch.zeros(2, planes, *[16] * dims)
    program = torch.export.export(module, (example,), dynamic_shapes=(free,))
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def onnx_of(module, *, planes=1, dims=2, sides=None, opset=17):
    """ONNX bytes of a Sequential of the layers known below; `sides` fixes them."""
    nodes, weights, value = [], [], "image"

    def keep(array):
        weights.append(numpy_helper.from_array(array, f"w{len(weights)}"))
        return weights[-1].name

    def add(kind, *inputs, **attributes):
        nonlocal value
        out = f"v{len(nodes)}"
        nodes.append(helper.make_node(kind, [value, *inputs], [out], **attributes))
        value = out

    for layer in module:
        if isinstance(layer, nn.Conv2d | nn.Conv3d):
            kernel = [keep(t.detach().numpy()) for t in (layer.weight, layer.bias)]
            add("Conv", *kernel, pads=list(layer.padding) * 2)
        elif isinstance(layer, nn.MaxPool2d | nn.MaxPool3d):
            add("MaxPool", kernel_shape=[layer.kernel_size] * dims, strides=[2] * dims)
        elif isinstance(layer, nn.Upsample):
            scales = keep(np.array([1, 1, *[2] * dims], np.float32))
            add("Resize", "", scales, coordinate_transformation_mode="asymmetric")
        elif isinstance(layer, nn.InstanceNorm2d):
            one, zero = (keep(np.full(4, v, np.float32)) for v in (1, 0))
            add("InstanceNormalization", one, zero)
        else:
            add({nn.ReLU: "Relu", nn.Sigmoid: "Sigmoid"}[type(layer)])
    shape = ["n", planes, *(sides or [f"side{n}" for n in range(dims)])]
    kinds = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", value)
    ]
    graph = helper.make_graph(nodes, "tiny", kinds[:1], kinds[1:], weights)
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()


def onnx_model(data):
    """The model in ONNX bytes, to be changed."""
    return onnx.load_from_string(data)


def write_package(folder: Path, files: dict[str, bytes], given, wanted, **changes):
    """A bioimage.io package of format 0.5 around files of weights: {"weights.onnx": bytes}.

    `changes` replace keys of the description; those of `inputs` and `outputs` go into them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {"in.npy": given, "out.npy": wanted}
    everything = {name: _npy(values) for name, values in tensors.items()} | files
    for name, data in everything.items():
        (folder / name).write_bytes(data)
    named = {
        n: {"source": n, "sha256": hashlib.sha256(d).hexdigest()} for n, d in everything.items()
    }
    sides = [
        {"type": "space", "id": a, "size": {"min": 16, "step": 2}, "scale": 50, "unit": "nanometer"}
        for a in "yx"
    ]
    axes = [{"type": "batch"}, {"type": "channel", "channel_names": ["a"]}]
    image = {
        "id": "raw",
        "axes": [*axes, *sides],
        "test_tensor": named["in.npy"],
        "preprocessing": [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}}],
    }
    answer = {
        "id": "probability",
        "axes": [*axes, *({"type": "space", "id": a, "halo": 2} for a in "yx")],
        "test_tensor": named["out.npy"],
    }
    keys = {"weights.onnx": "onnx", "weights.pt": "torchscript", "weights.pt2": "torch_export"}
    rdf = {
        "format_version": "0.5.4",
        "type": "model",
        "name": "tiny",
        "inputs": [image | changes.pop("inputs", {})],
        "outputs": [answer | changes.pop("outputs", {})],
        "weights": {keys[name]: named[name] for name in files},
    }
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf | changes, sort_keys=False))
    return folder


def _npy(values):
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()
