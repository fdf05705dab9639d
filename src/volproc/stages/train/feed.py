"""The batches of a training: read ahead in threads, copied to the device while it computes.

    threads      read 5 ─┐  read 6 ─┐  read 7 ─┐          raw patches, pinned for a GPU
    device               └▶ copy 5 ▶ augment 5 ▶ step 5   in the order of the steps
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from volproc.stages.train.batch import Batch, RawPatches

AHEAD = 4
"""Batches prepared while the network trains on one."""

Patches = Callable[[int, int, int], RawPatches]
"""The raw patches of a step from its number, the first one's number and their count alone."""
Augment = Callable[[RawPatches], Batch]
"""What the network and the loss take, from raw patches on its device."""


@dataclass
class Feed:
    """The raw patches of each step, on the device."""

    patches: Patches
    device: torch.device
    share: range
    """Of a step's patches those of this process."""
    waited: float = 0.0
    """Seconds that the training has waited for patches."""

    def steps(self, first: int, last: int) -> Iterator[RawPatches]:
        """The patches of steps `first` up to `last`, prepared in the background."""
        pool = ThreadPoolExecutor(AHEAD)
        try:
            waiting: deque[Future[RawPatches]] = deque()
            for step in range(first, last):
                for later in range(step + len(waiting), min(step + AHEAD, last)):
                    waiting.append(pool.submit(self._load, later))
                began = time.monotonic()
                raw = waiting.popleft().result()
                self.waited += time.monotonic() - began
                yield moved(raw, lambda part: part.to(self.device, non_blocking=True))
        finally:
            pool.shutdown(cancel_futures=True)

    def _load(self, step: int) -> RawPatches:
        raw = self.patches(step, self.share.start, len(self.share))
        return moved(raw, Tensor.pin_memory) if self.device.type == "cuda" else raw


def moved(raw: RawPatches, move: Callable[[Tensor], Tensor]) -> RawPatches:
    """The same patches, with every tensor moved."""
    parts = {part.name: getattr(raw, part.name) for part in fields(raw)}
    tensors = {name: move(part) for name, part in parts.items() if isinstance(part, Tensor)}
    return replace(raw, **tensors)
