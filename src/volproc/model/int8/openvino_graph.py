"""A quantised U-Net as OpenVINO's graph, and compiled for a shape of planes.

OpenVINO makes int8 kernels of what lies between two FakeQuantize, if weights are int8 constants.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from volproc.model.int8.layers import ZERO, Int8Layers, walk, zero_of
from volproc.model.int8.requirements import openvino
from volproc.model.output_window import OutputWindow, Region, regions
from volproc.model.unet_spec import UNetSpec

NHWC_TO_NCHW, NCHW_TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)


def compiled(
    layers: Int8Layers,
    spec: UNetSpec,
    shape: tuple[int, int, int, int],
    requested: OutputWindow | None,
) -> Any:
    """A request that takes uint8 planes (N, H, W, C) of `shape` and gives the head's output there.

    float32 (N, h, w, channels) at the `requested` pixels. As many threads as torch has.
    """
    model = _graph(layers, spec, shape, requested)
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # else all workers of a machine share its first core
        "INFERENCE_PRECISION_HINT": "f32",  # of what is not int8; bfloat16 would round
    }
    return openvino().Core().compile_model(model, "CPU", settings).create_infer_request()


def _graph(
    layers: Int8Layers,
    spec: UNetSpec,
    shape: tuple[int, int, int, int],
    requested: OutputWindow | None,
) -> Any:
    ops = _Operations(layers, spec)
    planes = ops.op.parameter(list(shape), np.uint8)
    # permuted as what is computed from it: only the sizes count
    sizes = torch.empty(shape, device="meta").permute(NHWC_TO_NCHW)
    levels, reach = len(spec.widths), spec.convs_up
    how = {"levels": levels, "reach": reach, "stem": spec.stem}
    kept = regions(requested, sizes, **how) if requested else None
    head = walk(ops, spec, ops.given(planes), kept)
    result = ops.op.result(ops.transposed(head, NCHW_TO_NHWC))
    return openvino().Model([result], [planes], "unet")


class _Operations:
    """`Arithmetic` of OpenVINO's nodes, which have no types."""

    def __init__(self, layers: Int8Layers, spec: UNetSpec) -> None:
        self.op: Any = openvino().opset13
        self._layers, self._spec = layers, spec

    def given(self, planes: Any) -> Any:
        """uint8 planes (N, H, W, C) as values around 0, to be quantised as they are."""
        values = self.op.convert(self.transposed(planes, NHWC_TO_NCHW), "f32")
        return self._rounded(self.op.subtract(values, self._float(ZERO)), ZERO)

    def convolution(self, values: Any, name: str) -> Any:
        side = self._layers[name].weight.shape[-1]
        step, pad = max(1, side // 3), side // 3  # of 3 x stem: the stem; of 3: 1; of 1: none
        weight = self._weight(name, (-1, 1, 1, 1))
        sums = self.op.convolution(values, weight, [step] * 2, [pad] * 2, [pad] * 2, [1, 1])
        biased = self._biased(sums, name)
        if name == "head":
            return biased
        return self._rounded(self.op.relu(biased), zero_of(name, self._spec))

    def lift(self, values: Any, name: str) -> Any:
        weight = self._weight(name, (1, -1, 1, 1))
        none = {"pads_begin": [0, 0], "pads_end": [0, 0], "dilations": [1, 1]}
        sums = self.op.convolution_backprop_data(values, weight, [2, 2], **none)
        return self._rounded(self._biased(sums, name), ZERO)

    def pool(self, values: Any) -> Any:
        two, one, none = [2, 2], [1, 1], [0, 0]
        return self.op.max_pool(values, two, one, none, none, two, "floor", "explicit").output(0)

    def join(self, skip: Any, lifted: Any) -> Any:
        return self.op.concat([skip, lifted], 1)

    def add(self, skip: Any, lifted: Any, name: str) -> Any:
        return self._rounded(self.op.add(skip, lifted), zero_of(name, self._spec))

    def part(self, values: Any, region: Region, seen: Region | None) -> Any:
        top, left = (seen.rows.start, seen.columns.start) if seen else (0, 0)
        start = (0, 0, region.rows.start - top, region.columns.start - left)
        stop = (0, 0, region.rows.stop - top, region.columns.stop - left)
        bounds = [self._whole(numbers) for numbers in (start, stop, (1, 1, 1, 1))]
        images_and_channels = [1, 1, 0, 0]  # are taken whole
        return self.op.strided_slice(values, *bounds, images_and_channels, images_and_channels)

    def transposed(self, values: Any, order: tuple[int, ...]) -> Any:
        return self.op.transpose(values, self._whole(order))

    def _rounded(self, values: Any, zero: int) -> Any:
        """Rounded to whole numbers from -zero to 255 - zero: with `zero` added, a uint8."""
        bounds = [self._float(n) for n in (-zero, 255 - zero)]
        return self.op.fake_quantize(values, *bounds, *bounds, 256)

    def _weight(self, name: str, per_channel: tuple[int, ...]) -> Any:
        layer = self._layers[name]
        whole = self.op.convert(self.op.constant(layer.weight), "f32")
        return self.op.multiply(whole, self._float(layer.step.reshape(per_channel)))

    def _biased(self, sums: Any, name: str) -> Any:
        layer = self._layers[name]
        return self.op.add(sums, self._float((layer.bias * layer.step).reshape(1, -1, 1, 1)))

    def _float(self, values: float | npt.NDArray[Any]) -> Any:
        return self.op.constant(np.asarray(values, np.float32))

    def _whole(self, numbers: tuple[int, ...]) -> Any:
        return self.op.constant(np.array(numbers, np.int64))
