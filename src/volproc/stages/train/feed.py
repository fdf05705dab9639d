"""The batches of a training: read ahead in threads, in the order of the steps.

on a CPU    threads   read, augment 5 ─┐  read, augment 6 ─┐  ...
            loop                       └▶ step 5           └▶ step 6

on a GPU    threads     read, pin 5 ─┐   read, pin 6 ─┐   ...
            own stream               └▶ copy, augment 5 ─┐└▶ copy, augment 6 ─┐
            loop's stream                                └▶ step 5            └▶ step 6

On a GPU the threads may wait for their stream (an augmentation's numbers are small copies for which
the host waits); the loop's stream waits for a batch, the loop's thread for none.
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
Prepared = Callable[[], Ready]
"""Gives a batch to the thread that asks: on a GPU the stream of that thread waits for it."""


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
        prepare = self._on_cpu if self.device.type == "cpu" else self._on_gpu()
        pool = ThreadPoolExecutor(AHEAD)
        try:
            waiting: deque[Future[Prepared]] = deque()
            for step in range(first, last):
                for later in range(step + len(waiting), min(step + AHEAD, last)):
                    waiting.append(pool.submit(prepare, later))
                began = time.monotonic()
                prepared = waiting.popleft().result()
                self.waited += time.monotonic() - began
                yield prepared()
        finally:
            pool.shutdown(cancel_futures=True)

    def _raw(self, step: int) -> RawPatches:
        return self.patches(step, self.share.start, len(self.share))

    def _on_cpu(self, step: int) -> Prepared:
        raw = self._raw(step)
        batch = self.augment(raw)
        return lambda: (batch, raw.axes)

    def _on_gpu(self) -> Callable[[int], Prepared]:
        """What prepares a step on a stream that all threads share."""
        stream: torch.cuda.Stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]

        def to_device(part: Tensor) -> Tensor:
            return part.pin_memory().to(self.device, non_blocking=True)

        def prepare(step: int) -> Prepared:
            raw = self._raw(step)
            # the whole of it: a new thread would pin memory for the first GPU, whichever is ours
            with torch.cuda.stream(stream):
                batch = self.augment(moved(raw, to_device))
                made = stream.record_event()

            def arrived() -> Ready:
                work = torch.cuda.current_stream(self.device)
                work.wait_event(made)
                for part in batch:
                    part.record_stream(work)
                return batch, raw.axes

            return arrived

        return prepare


def moved(raw: RawPatches, move: Callable[[Tensor], Tensor]) -> RawPatches:
    """The same patches, with every tensor moved."""

    def part(name: str) -> Any:
        value = getattr(raw, name)
        return move(value) if isinstance(value, Tensor) else value

    return RawPatches(**{one.name: part(one.name) for one in fields(raw)})
