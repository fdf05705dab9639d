"""A quantised U-Net as predict sees it, on a CPU."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from volproc.model.int8.layers import INPUT_STEPS, ZERO, Int8Layers
from volproc.model.int8.openvino_graph import compiled
from volproc.model.int8.requirements import openvino
from volproc.model.network import Constants
from volproc.model.normalisation import looked_up
from volproc.model.output_window import OutputWindow
from volproc.model.predictor import Sigmoid
from volproc.model.unet_spec import UNetSpec

MAX_COMPILED = 4
"""Shapes of planes whose graphs are kept: each holds its activations. Those of a block along an
axis are few, and called in a row; compiling one takes 0.1 s."""


class Int8Predictor:
    """Probabilities (N, classes, slices_out, h, w), float32, for raw planes (N, slices_in, H, W).

    A graph for each shape of planes, compiled when first called.
    """

    def __init__(
        self, layers: Int8Layers, spec: UNetSpec, *, temperatures: Sequence[float] = ()
    ) -> None:
        self._layers, self._spec = layers, spec
        self._sigmoid = Sigmoid(spec.classes, temperatures, "cpu")
        self._requests: OrderedDict[object, Any] = OrderedDict()
        self._calling = threading.Lock()

    @torch.inference_mode()
    def __call__(
        self, planes: torch.Tensor, constants: Constants, requested: OutputWindow | None = None
    ) -> torch.Tensor:
        """The probabilities, given the volume's normalisation constants."""
        with self._calling:  # a request has one input and one output
            given = quantised(planes, constants).permute(0, 2, 3, 1).numpy()
            request = self._request(given, requested)
            request.set_input_tensor(openvino().Tensor(given, shared_memory=True))
            request.infer()
            head = torch.from_numpy(request.get_output_tensor().data).permute(0, 3, 1, 2)
            return self._sigmoid(torch.nn.functional.pixel_shuffle(head, self._spec.stem))

    def _request(self, given: npt.NDArray[np.uint8], requested: OutputWindow | None) -> Any:
        bounds = requested and tuple((side.start, side.stop) for side in requested)
        key = (given.shape, bounds)
        if key not in self._requests:
            while len(self._requests) >= MAX_COMPILED:
                self._requests.popitem(last=False)
            self._requests[key] = compiled(self._layers, self._spec, given.shape, requested)
        self._requests.move_to_end(key)
        return self._requests[key]


def quantised(planes: torch.Tensor, constants: Constants) -> torch.Tensor:
    """Raw planes (N, C, H, W), normalised, as uint8 in `INPUT_STEPS` around `ZERO`, channels last.

    Each voxel on its own, by float32 operations that are the same on every CPU.
    """
    if planes.dtype == torch.uint8:
        return looked_up(planes, _stepped(constants.apply(torch.arange(256, dtype=torch.uint8))))
    return _stepped(constants.apply(planes)).contiguous(memory_format=torch.channels_last)


def _stepped(normal: torch.Tensor) -> torch.Tensor:
    return normal.mul(INPUT_STEPS).round_().add_(ZERO).to(torch.uint8)
