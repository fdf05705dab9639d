"""A worker's GPU memory: what is uploaded ahead, and what happens where it runs out.

    block in hand     room besides the block that is computed?  yes: uploaded; no: stays on the host
    out of memory     what was uploaded ahead goes back to the host, and it is tried again;
                      then the block is computed in halves (`predict/parts.py`)

A GPU computes one block at a time, so the one that computes may take all there is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from volproc.lazy import lazy
from volproc.stages.inference.device_link import give_back, is_out_of_memory, link_to

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

T = TypeVar("T")


def capacity() -> int:
    """Bytes of the GPU that this process has or may still take; others may use the rest."""
    free, _ = torch.cuda.mem_get_info()
    return int(free + torch.cuda.memory_reserved())


def device_itemsize(dtype: npt.DTypeLike) -> int:
    """Bytes of a voxel on a device: of types that torch lacks those of float32."""
    return {"uint8": 1, "int16": 2}.get(np.dtype(dtype).name, 4)


class Upload:
    """Voxels of the host that are wanted on a GPU: called there, by the one block that computes.

    The copy made ahead is handed over: whoever calls again gets another one, made then.
    """

    def __init__(self, values: npt.NDArray[Any], *, keep: int) -> None:
        """Begin to upload `values`, if `keep` bytes stay free for the block that is computed."""
        self.values = values
        self._pending: Callable[[], torch.Tensor] | None = None
        self.nbytes = values.size * device_itemsize(values.dtype)
        with _moving:
            ahead = sum(one.nbytes for one in _ahead)
        if ahead + self.nbytes + keep <= capacity():
            self._begin()

    def _begin(self) -> None:
        try:
            pending = link_to("cuda").to_device(self.values)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return  # it is tried again when it is its turn
        with _moving:
            self._pending = pending
            _ahead.add(self)

    def __call__(self) -> torch.Tensor:
        """The voxels on the device, for the current stream."""
        pending = self.put_back() or link_to("cuda").to_device(self.values)
        return pending()

    def put_back(self) -> Callable[[], torch.Tensor] | None:
        """Keep the copy no longer; it, if there was one."""
        with _moving:
            pending, self._pending = self._pending, None
            _ahead.discard(self)
        return pending


_ahead: WeakSet[Upload] = WeakSet()
_moving = threading.Lock()


def make_room() -> None:
    """All uploads that wait go back to the host, and what torch caches to the GPU."""
    with _moving:
        waiting = list(_ahead)
    for one in waiting:
        one.put_back()
    torch.cuda.synchronize()  # what other blocks still copy to the host is free afterwards
    give_back("cuda")


def within_memory(do: Callable[[], T]) -> T | None:
    """What `do` returns; None where the GPU has no memory for it, even with nothing else there."""
    for _ in range(2):
        if (found := _tried(do)) is not None:
            return found
        # outside of the handler, as the error holds what the call had allocated
        make_room()
    return None


def _tried(do: Callable[[], T]) -> T | None:
    try:
        return do()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    return None


def room_for_calls(*, taken: int, ahead: int) -> int:
    """Bytes for calls of a network besides what is `taken`, and by blocks in hand.

    Where these are many it is half of what they would leave alone: they stay on the host.
    """
    free = max(0, capacity() - taken)
    return max(free - ahead, free // 2)
