"""What one run of a torch network costs: operations counted, live tensors added up."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from volproc.model.foreign.runnable import Cost


def torch_cost(run: Callable[[], Any]) -> Cost:
    """Of `run()`: operations (2 per multiply-add), and bytes of the tensors alive at most."""
    alive = _Alive()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter, alive:
        run()
    return Cost(int(counter.get_total_flops()), alive.most)


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]  # as torch has it
    """Adds up storages that operations make, until they are freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._now = 0
        self.most = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor):
                self._count(value.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._seen:
            self._seen.add(key)
            self._now += size
            self.most = max(self.most, self._now)
            weakref.finalize(storage, self._freed, key, size)

    def _freed(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self._now -= size
