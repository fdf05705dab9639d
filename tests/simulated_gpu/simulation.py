"""Simulated GPUs for the time of a test: torch.cuda finds them, and volproc uses them.

    with simulated_gpus(count=1) as gpu:
        ...                                     what volproc does on CUDA
        gpu.each[0].fail_at = 5                 the fifth allocation from the start fails
    gpu.faults                                  races, memory freed too early, ...

What is simulated: tensors, streams, events, pinned memory, memory that runs out, several GPUs,
autocast, gradients, checkpoints. What is not: speed, cuDNN, torch.compile, NCCL.
"""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from tests.simulated_gpu.gpus import Gpus, gpus
from tests.simulated_gpu.native import native
from tests.simulated_gpu.streams import Event, Stream, timeline
from tests.simulated_gpu.tensors import SimulatedTensor, empty, empty_strided, tag

MIB = 2**20
DRIVER = "libcuda.so.1"


@contextmanager
def simulated_gpus(
    count: int = 1, *, total: int = 512 * MIB, capability: tuple[int, int] = (9, 0)
) -> Iterator[Gpus]:
    """Within it there are `count` GPUs of `total` bytes; all is as before afterwards."""
    timeline.clear()
    gpus.clear(count, total, capability)
    kernels = torch.library.Library("aten", "IMPL")
    with pytest.MonkeyPatch.context() as patch:
        native().simulated_start(count)
        try:
            with warnings.catch_warnings():  # once a process, torch says that it had others
                warnings.simplefilter("ignore")
                kernels.impl("empty.memory_format", empty, "CUDA")
                kernels.impl("empty_strided", empty_strided, "CUDA")
            _replace(patch)
            yield gpus
        finally:
            kernels._destroy()
            native().simulated_stop()


def _replace(patch: pytest.MonkeyPatch) -> None:
    for name, value in {**_devices(), **_streams(), **_memory()}.items():
        patch.setattr(torch.cuda, name, value)
    patch.setattr(torch, "tensor", _tensor(torch.tensor))
    patch.setattr(torch.Tensor, "record_stream", _record_stream)
    patch.setattr(ctypes.CDLL, "__init__", _with_driver(ctypes.CDLL.__init__))
    registry = [(0, tag, lambda storage, location: None), *torch.serialization._package_registry]
    patch.setattr(torch.serialization, "_package_registry", registry)
    # parameters cannot change their device in place: they are made anew
    patch.setattr(torch.__future__, "_overwrite_module_params_on_conversion", True)


def _devices() -> dict[str, Any]:
    return {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "_lazy_init": lambda: None,
        "device_count": lambda: len(gpus.each),
        "current_device": lambda: native().simulated_device(),
        "set_device": lambda device: native().simulated_set_device(timeline.index_of(device)),
        "is_bf16_supported": lambda *_, **__: gpus.capability >= (8, 0),
        "get_device_capability": lambda *_: gpus.capability,
        "get_device_name": lambda *_: "a simulated GPU",
    }


def _streams() -> dict[str, Any]:
    return {
        "Stream": Stream,
        "Event": Event,
        "stream": timeline.on_stream,
        "current_stream": timeline.current_stream,
        "default_stream": timeline.default_stream,
        "synchronize": timeline.synchronize,
    }


def _memory() -> dict[str, Any]:
    def of(device: Any = None) -> Any:
        return gpus.each[timeline.index_of(device)]

    return {
        "mem_get_info": lambda *d: (of(*d).total - of(*d).allocated, of(*d).total),
        "memory_allocated": lambda *d: of(*d).allocated,
        "memory_reserved": lambda *d: of(*d).allocated,
        "empty_cache": lambda: None,
    }


def _tensor(plain: Callable[..., Any]) -> Callable[..., Any]:
    def tensor(*given: Any, device: Any = None, **more: Any) -> Any:
        made = plain(*given, **more)
        return made if device is None else made.to(device)

    return tensor


def _record_stream(tensor: SimulatedTensor, stream: Stream) -> None:
    with timeline.lock:
        gpus.memory_of(tensor.held).recorded.add(stream)


def _with_driver(plain: Callable[..., None]) -> Callable[..., None]:
    """The driver's library can be loaded."""

    def load(self: Any, name: Any, *given: Any, **more: Any) -> None:
        plain(self, None if name == DRIVER else name, *given, **more)

    return load
