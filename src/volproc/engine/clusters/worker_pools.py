"""The workers of this machine that suit a step: one per core, or one per GPU where it uses them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from volproc.config.running import ClusterOptions
from volproc.engine.clusters.local import local_engine
from volproc.engine.distributed import DaskEngine
from volproc.engine.machine import machine_bytes, machine_cores
from volproc.engine.memory import share_of_machine
from volproc.engine.protocol import Outcomes, Step, Task
from volproc.grid.blocks import Block

GPU_THREADS = 4
"""Blocks that a GPU's worker has in hand: one at work, the others on their way in or out."""


@dataclass(frozen=True)
class WorkerPool:
    """How many workers, blocks in hand of each, its memory, and the GPUs dealt out to them."""

    workers: int
    threads: int
    worker_bytes: int
    gpus: tuple[str, ...] = ()

    def can_do(self, wanted: WorkerPool) -> bool:
        """Whether these can do what `wanted` are wanted for."""
        return self == wanted or self == replace(wanted, gpus=wanted.gpus or self.gpus)


class WorkerPools:
    """An engine with the workers that suit each step, on this machine.

    One crew at a time: started when a block is to be done, and replaced when a step wants another.
    `gpus` tells what the GPUs are called; it is asked when a step is to use one.
    """

    def __init__(
        self, options: ClusterOptions, *, gpus: Callable[[], tuple[str, ...]] | None = None
    ) -> None:
        self._options = options
        self._gpus = gpus or visible_gpus
        self._at_work: tuple[WorkerPool, DaskEngine] | None = None
        self._usual = self._crew(options.workers or machine_cores(), options.threads or 1)

    @property
    def worker_bytes(self) -> int:
        """Memory of a worker, where a step uses no GPU."""
        return self._usual.worker_bytes

    @property
    def threads(self) -> int:
        """Blocks such a worker has in hand."""
        return self._usual.threads

    def for_step(self, step: Step) -> PoolEngine:
        """The engine for `step`; nothing is started yet."""
        return PoolEngine(self, self.pool_for(step))

    def pool_for(self, step: Step) -> WorkerPool:
        """Who is to do `step`: on GPUs one worker each, unless the options say otherwise."""
        if not step.on_gpu:
            return self._usual
        options, gpus = self._options, self._gpus()
        one_each = min(len(gpus), options.workers or len(gpus))
        workers = options.gpu_workers or max(1, one_each)
        return self._crew(workers, options.threads or GPU_THREADS, gpus)

    def map(self, task: Task, blocks: Iterable[Block]) -> Outcomes:
        """One outcome per block, as they come, from the workers for steps without a GPU."""
        return self.started(self._usual).map(task, blocks)

    def started(self, crew: WorkerPool) -> DaskEngine:
        """The engine of `crew`, or of one at work that can do the same; others are closed first."""
        if self._at_work is None or not self._at_work[0].can_do(crew):
            self.close()
            engine = local_engine(
                workers=crew.workers,
                threads=crew.threads,
                worker_bytes=crew.worker_bytes,
                gpus=crew.gpus,
            )
            self._at_work = crew, engine
        return self._at_work[1]

    def kill(self) -> None:
        """End the workers at once, whatever they do."""
        if self._at_work is not None:
            self._at_work[1].cluster.kill()

    def close(self) -> None:
        """Let the workers go."""
        if self._at_work is not None:
            _, engine = self._at_work
            self._at_work = None
            engine.close()

    def _crew(self, workers: int, threads: int, gpus: tuple[str, ...] = ()) -> WorkerPool:
        # Dask gives no worker more than the machine has, whatever it is asked for
        memory = min(machine_bytes(), self._options.worker_bytes or share_of_machine(workers))
        return WorkerPool(workers, threads, memory, gpus)


@dataclass(frozen=True)
class PoolEngine:
    """An engine on one crew of several, which is started when `map` is called."""

    crews: WorkerPools
    crew: WorkerPool

    @property
    def worker_bytes(self) -> int:
        """Memory of one worker."""
        return self.crew.worker_bytes

    @property
    def threads(self) -> int:
        """Blocks one worker has in hand."""
        return self.crew.threads

    def for_step(self, step: Step) -> PoolEngine:
        """The crew that suits `step`."""
        return self.crews.for_step(step)

    def map(self, task: Task, blocks: Iterable[Block]) -> Outcomes:
        """One outcome per block, as they come."""
        return self.crews.started(self.crew).map(task, blocks)


def visible_gpus() -> tuple[str, ...]:
    """What this process' GPUs are called in CUDA_VISIBLE_DEVICES; their number is torch's."""
    import torch  # whoever has planned a step on a GPU has imported it; others are spared

    count = torch.cuda.device_count()
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in given.split(",")] if given else map(str, range(count))
    return tuple(names)[:count]
