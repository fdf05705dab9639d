"""How voxels get to a device and back while the network runs there; its memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from volproc.lazy import lazy
from volproc.volume.resampling import as_tensor

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


class CpuLink:
    """The CPU: nothing is copied."""

    def to_device(self, values: npt.NDArray[Any]) -> Callable[[], torch.Tensor]:
        """The same memory as a tensor."""
        return lambda: as_tensor(values)

    def to_host(self, values: torch.Tensor) -> Callable[[], npt.NDArray[np.uint8]]:
        """The same memory as an array."""
        return values.numpy


class GpuLink:
    """Copies on streams of their own, from and to pinned memory, while the GPU computes."""

    def __init__(self) -> None:
        # torch types streams not at all
        self._upload: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._download: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def to_device(self, values: npt.NDArray[Any]) -> Callable[[], torch.Tensor]:
        """A copy; the stream that asks for it waits, this thread does not."""
        staged = as_tensor(values).pin_memory()
        with torch.cuda.stream(self._upload):
            there = staged.to("cuda", non_blocking=True)
            copied = self._upload.record_event()

        def arrived() -> torch.Tensor:
            work = torch.cuda.current_stream()
            work.wait_event(copied)
            there.record_stream(work)
            return there

        return arrived

    def to_host(self, values: torch.Tensor) -> Callable[[], npt.NDArray[np.uint8]]:
        """A copy of what this thread's stream has been told to compute."""
        self._download.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._download):
            here = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            here.copy_(values, non_blocking=True)
            values.record_stream(self._download)
            copied = self._download.record_event()

        def arrived() -> npt.NDArray[np.uint8]:
            copied.synchronize()
            return here.numpy()

        return arrived


Link = CpuLink | GpuLink
"""Copies to a device and back. Both return at once; what they return waits when called."""
_links: dict[str, Link] = {}
_making = threading.Lock()


def link_to(device: str) -> Link:
    """The link to `device`, made once per process."""
    with _making:
        if device not in _links:
            _links[device] = GpuLink() if device == "cuda" else CpuLink()
        return _links[device]


def free_bytes() -> int:
    """Memory that the network may still take on the GPU."""
    free, _ = torch.cuda.mem_get_info()
    return int(free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated())


_NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "ALLOC_FAILED",
    # cuDNN, where no way of convolving fits into the memory that is left
    "unable to find an engine",
    "CUDNN_STATUS_NOT_SUPPORTED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a call failed for lack of memory, whichever library says so.

    What the error was raised from counts, too: a ModelError of another maker's network.
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY):
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)


def give_back(device: str) -> None:
    """Return memory that torch caches to the GPU, which makes one piece of it again."""
    if device == "cuda":
        torch.cuda.empty_cache()
