"""The memory of simulated GPUs: counted, limited, and failing when it is told to."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass

import torch
from tests.simulated_gpu.native import native
from tests.simulated_gpu.streams import Memory, timeline
from torch import Tensor

GRAIN = 512
"""Bytes that memory is given out in."""


@dataclass
class Gpu:
    """One GPU's memory, in bytes."""

    total: int
    allocated: int = 0
    peak: int = 0
    """The most that was allocated at once."""
    allocations: int = 0
    """How many there have been."""
    fail_at: int = 0
    """The number of the allocation that fails; 0 is none."""


class Gpus:
    """All GPUs, and the memory that is in use there and pinned on the host."""

    def __init__(self) -> None:
        self.clear(1, 0)

    def clear(self, count: int, total: int, capability: tuple[int, int] = (9, 0)) -> None:
        """Begin anew, with `count` GPUs of `total` bytes each."""
        self.each = [Gpu(total) for _ in range(count)]
        self.capability = capability
        self.memories: dict[int, Memory] = {}
        self._pinned: dict[int, Memory] = {}
        self.places: dict[int, int] = {}

    def require(self, index: int, nbytes: int) -> None:
        """Count an allocation; OutOfMemoryError if there is no room, or it is the one to fail."""
        gpu = self.each[index]
        gpu.allocations += 1
        if gpu.allocated + nbytes > gpu.total:
            gc.collect()
        if gpu.allocations == gpu.fail_at or gpu.allocated + nbytes > gpu.total:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {nbytes} bytes")

    def allocate(self, held: Tensor, index: int) -> None:
        """Take note of a tensor's memory if it is new."""
        storage = held.untyped_storage()
        key = storage._cdata
        if key in self.memories:
            return
        nbytes = -(-storage.nbytes() // GRAIN) * GRAIN
        self.require(index, nbytes)
        memory = Memory(nbytes, timeline.current_stream(index))
        self.memories[key], self.places[key] = memory, index
        gpu = self.each[index]
        gpu.allocated += nbytes
        gpu.peak = max(gpu.peak, gpu.allocated)
        weakref.finalize(storage, self._free, key, memory).atexit = False

    def _free(self, key: int, memory: Memory) -> None:
        with timeline.lock:
            if self.memories.get(key) is memory:
                del self.memories[key]
                self.each[self.places.pop(key)].allocated -= memory.nbytes
                memory.freed()

    def memory_of(self, held: Tensor) -> Memory:
        return self.memories[held.untyped_storage()._cdata]

    def pinned_memory_of(self, tensor: Tensor) -> Memory | None:
        """The pinned memory of a tensor of the host, if it is pinned."""
        start = native().simulated_pinned_at(tensor.data_ptr()) if tensor.numel() else None
        return self._pinned.setdefault(start, Memory(0, None)) if start else None


gpus = Gpus()
