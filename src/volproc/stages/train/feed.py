"""The batches of a training: read ahead in threads, in the order of the steps.

on a CPU    threads   read, augment 5 ─┐  read, augment 6 ─┐  ...
            loop                       └▶ step 5           └▶ step 6

on a GPU    threads   read, pin 5 ─┐  read, pin 6 ─┐  ...
            device                 └▶ copy, augment, step 5
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from volproc.stages.train.batch import Batch, RawPatches

AHEAD = 4
"""Batches prepared while the network trains on one."""

Patches = Callable[[int, int, int], RawPatches]
"""The raw patches of a step from its number, the first one's number and their count alone."""
Augment = Callable[[RawPatches], Batch]
"""What the network and the loss take, from raw patches on its device."""

Ready = tuple[Batch, tuple[int, ...]]
Prepared = Ready | Callable[[], Ready]
"""A batch, or what is left to be done for it by the thread that the device listens to."""


@dataclass
class Feed:
    """The batch of each step on the device, and the axes its patches are viewed along."""

    patches: Patches
    augment: Augment
    device: torch.device
    share: range
    """Of a step's patches those of this process."""
    waited: float = 0.0
    """Seconds that the training has waited for patches."""

    def steps(self, first: int, last: int) -> Iterator[Ready]:
        """The batches of steps `first` up to `last`, prepared in the background."""
        pool = ThreadPoolExecutor(AHEAD)
        try:
            waiting: deque[Future[Prepared]] = deque()
            for step in range(first, last):
                for later in range(step + len(waiting), min(step + AHEAD, last)):
                    waiting.append(pool.submit(self._prepare, later))
                began = time.monotonic()
                prepared = waiting.popleft().result()
                self.waited += time.monotonic() - began
                yield prepared() if callable(prepared) else prepared
        finally:
            pool.shutdown(cancel_futures=True)

    def _prepare(self, step: int) -> Prepared:
        raw = self.patches(step, self.share.start, len(self.share))
        if self.device.type != "cuda":
            return self.augment(raw), raw.axes
        pinned = moved(raw, Tensor.pin_memory)
        return lambda: (self.augment(moved(pinned, self._to_device)), raw.axes)

    def _to_device(self, part: Tensor) -> Tensor:
        return part.to(self.device, non_blocking=True)


def moved(raw: RawPatches, move: Callable[[Tensor], Tensor]) -> RawPatches:
    """The same patches, with every tensor moved."""

    def part(name: str) -> Any:
        value = getattr(raw, name)
        return move(value) if isinstance(value, Tensor) else value

    return RawPatches(**{one.name: part(one.name) for one in fields(raw)})
