"""How voxels get to a device and back while the network runs there; its memory."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
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

    def to_host(self, values: torch.Tensor) -> Callable[[], npt.NDArray[Any]]:
        """The same memory as an array."""
        return values.numpy


BUFFER_BYTES = 16 * 2**20
"""Of a pinned buffer: 0.3 ms of copying, far more than asking for it takes. A power of two, to
which torch rounds pinned memory up."""

TRANSFER_BYTES = 3 * BUFFER_BYTES
"""Memory of the host that a block in hand takes to be copied: two pinned buffers, as its thread
copies one thing at a time, and a part of which torch lacks the type and that is converted."""

SWITCH_SECONDS = 5e-5
"""After which a thread that runs Python lets another one have the interpreter, where one of them
feeds a GPU: each launch lets go of the interpreter, and by Python's own 5 ms may wait that long."""


class PinnedBuffer:
    """Pinned memory that parts of blocks pass through, each once the copy before it is over."""

    def __init__(self) -> None:
        self._memory = torch.empty(BUFFER_BYTES, dtype=torch.uint8, pin_memory=True)
        self._copied: torch.cuda.Event = torch.cuda.Event()  # type: ignore[no-untyped-call]

    def send(self, values: torch.Tensor, there: torch.Tensor) -> None:
        """Copy (n,) values of the host to the device, on the current stream."""
        staged = self._free(there)
        staged.copy_(values)
        there.copy_(staged, non_blocking=True)
        self._copied.record()

    def fetch(self, values: torch.Tensor) -> None:
        """Begin to copy (n,) values of the device, on the current stream."""
        self._free(values).copy_(values, non_blocking=True)
        self._copied.record()

    def read(self, out: torch.Tensor) -> None:
        """Put what was fetched into `out` of the host, once it is there."""
        out.copy_(self._free(out))

    def _free(self, like: torch.Tensor) -> torch.Tensor:
        """Memory for values `like` these, which no copy uses any more."""
        self._copied.synchronize()
        return self._memory[: like.numel() * like.itemsize].view(like.dtype)


class PinnedRing:
    """A process' pinned buffers: two for each transfer at a time, made once.

    host      fill A │ fill B │ wait for A, fill A │ wait for B, fill B │ ...
    device           │ copy A │ copy B             │ copy A             │ copy B
    """

    def __init__(self) -> None:
        self._idle: deque[PinnedBuffer] = deque()

    @contextmanager
    def pair(self) -> Iterator[tuple[PinnedBuffer, PinnedBuffer]]:
        """Two buffers for one transfer. Their last copies may not be over when they come back."""
        pair = self._taken(), self._taken()
        try:
            yield pair
        finally:
            self._idle.extend(pair)

    def _taken(self) -> PinnedBuffer:
        try:  # a deque's own operations need no lock
            return self._idle.popleft()
        except IndexError:
            return PinnedBuffer()


class GpuLink:
    """Copies on streams of their own, through pinned memory, while the GPU computes."""

    def __init__(self) -> None:
        # torch types streams not at all
        self._upload: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._ring = PinnedRing()
        sys.setswitchinterval(min(SWITCH_SECONDS, sys.getswitchinterval()))

    def to_device(self, values: npt.NDArray[Any]) -> Callable[[], torch.Tensor]:
        """A copy; the stream that asks for it waits, this thread only for pinned memory."""
        flat = np.ascontiguousarray(values).reshape(-1)
        with torch.cuda.stream(self._upload), self._ring.pair() as pair:
            kind = as_tensor(flat[:0]).dtype
            there = torch.empty(values.shape, dtype=kind, device="cuda")
            for part, buffer in _parts(there, pair):
                buffer.send(as_tensor(flat[part]), there.view(-1)[part])
            copied = self._upload.record_event()

        def arrived() -> torch.Tensor:
            work = torch.cuda.current_stream()
            work.wait_event(copied)
            # its memory may else be given away while `work` still reads it: nothing waits for that
            there.record_stream(work)
            return there

        return arrived

    def to_host(self, values: torch.Tensor) -> Callable[[], npt.NDArray[Any]]:
        """A copy of what this thread's stream has been told to compute, made when asked for."""
        return _Download(values, self._ring)


class _Download:
    """What a stream computes, on the device until it is asked for."""

    def __init__(self, values: torch.Tensor, ring: PinnedRing) -> None:
        self._there: torch.Tensor | None = values.contiguous()
        self._computed = torch.cuda.current_stream().record_event()
        self._here = torch.empty(0)
        self._ring = ring

    def __call__(self) -> npt.NDArray[Any]:
        """The values, once they are there; the device's memory is free then."""
        if self._there is not None:
            self._here = self._fetched(self._there)
            self._there = None
        return self._here.numpy()

    def _fetched(self, there: torch.Tensor) -> torch.Tensor:
        here = torch.empty(there.shape, dtype=there.dtype)
        # a stream for each, as one waits for what another block computes
        own: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        own.wait_event(self._computed)
        pending: list[tuple[slice, PinnedBuffer]] = []
        with torch.cuda.stream(own), self._ring.pair() as pair:
            for part, buffer in _parts(there, pair):
                buffer.fetch(there.view(-1)[part])
                pending.append((part, buffer))
                if len(pending) == len(pair):
                    _read(pending.pop(0), here)
            for one in pending:
                _read(one, here)
        return here


def _read(fetched: tuple[slice, PinnedBuffer], here: torch.Tensor) -> None:
    part, buffer = fetched
    buffer.read(here.view(-1)[part])


def _parts(
    values: torch.Tensor, buffers: Sequence[PinnedBuffer]
) -> Iterator[tuple[slice, PinnedBuffer]]:
    """Parts of the flat `values` that fit into a buffer, each with the next of the buffers."""
    step = BUFFER_BYTES // values.itemsize
    starts = range(0, values.numel(), step)
    for start, buffer in zip(starts, cycle(buffers), strict=False):
        yield slice(start, start + step), buffer


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
