"""Pools of workers on this machine: one worker per core, or one per GPU where a step uses them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from volproc.config.running import ClusterOptions
from volproc.engine.clusters.local import local_engine
from volproc.engine.distributed import DaskEngine
from volproc.engine.machine import machine_bytes, machine_cores
from volproc.engine.memory import share_of_machine
from volproc.engine.protocol import Engine, Outcomes, Step, Task
from volproc.grid.blocks import Block

GPU_THREADS = 4
"""Blocks in flight on a GPU's worker: one is computed, the others are read or written."""


@dataclass(frozen=True)
class WorkerPool:
    """How many workers, blocks in flight on each, its memory, and the GPUs dealt out to them."""

    workers: int
    threads: int
    worker_bytes: int
    gpus: tuple[str, ...] = ()

    def can_do(self, requested: WorkerPool) -> bool:
        """Whether these workers can do what those of the `requested` pool could."""
        gpus = requested.gpus or self.gpus
        return self == requested or self == replace(requested, gpus=gpus)


class WorkerPools:
    """The workers that suit each step, on this machine.

    One pool at a time: started for the first block of a step, replaced when a step needs another.
    `gpus` gives the names of the GPUs; it is called when a step is to use one.
    """

    def __init__(
        self, options: ClusterOptions, *, gpus: Callable[[], tuple[str, ...]] | None = None
    ) -> None:
        self._options = options
        self._gpus = gpus or visible_gpus
        self._running: tuple[WorkerPool, DaskEngine] | None = None
        usual = self._pool(options.workers or machine_cores(), options.threads or 1)
        self.usual = PoolEngine(self, usual)
        """The engine for steps that use no GPU."""

    def pool_for(self, step: Step) -> WorkerPool:
        """The pool for `step`: on GPUs one worker each, unless the options say otherwise."""
        if not step.on_gpu:
            return self.usual.pool
        options, gpus = self._options, self._gpus()
        one_each = min(len(gpus), options.workers or len(gpus))
        workers = options.gpu_workers or max(1, one_each)
        return self._pool(workers, options.threads or GPU_THREADS, gpus)

    def started(self, pool: WorkerPool) -> DaskEngine:
        """The engine of `pool`, or the running one if it can do the same; others are closed."""
        if self._running is None or not self._running[0].can_do(pool):
            self.close()
            engine = local_engine(
                workers=pool.workers,
                threads=pool.threads,
                worker_bytes=pool.worker_bytes,
                gpus=pool.gpus,
            )
            self._running = pool, engine
        return self._running[1]

    def kill(self) -> None:
        """End the workers at once, whatever they do."""
        if self._running is not None:
            self._running[1].cluster.kill()

    def close(self) -> None:
        """Let the workers go."""
        if self._running is not None:
            _, engine = self._running
            self._running = None
            engine.close()

    def _pool(self, workers: int, threads: int, gpus: tuple[str, ...] = ()) -> WorkerPool:
        # Dask gives no worker more than the machine has, whatever it is asked for
        memory = min(machine_bytes(), self._options.worker_bytes or share_of_machine(workers))
        return WorkerPool(workers, threads, memory, gpus)


@dataclass(frozen=True)
class PoolEngine:
    """An engine on one pool of several, which is started when `map` is called."""

    pools: WorkerPools
    pool: WorkerPool

    @property
    def worker_bytes(self) -> int:
        """Memory of one worker."""
        return self.pool.worker_bytes

    @property
    def threads(self) -> int:
        """Blocks in flight on one worker."""
        return self.pool.threads

    def for_step(self, step: Step) -> PoolEngine:
        """The engine on the pool for `step`; nothing is started yet."""
        return PoolEngine(self.pools, self.pools.pool_for(step))

    def map(self, task: Task, blocks: Iterable[Block]) -> Outcomes:
        """One outcome per block, as they come."""
        return self.pools.started(self.pool).map(task, blocks)


def visible_gpus() -> tuple[str, ...]:
    """The names of this process' GPUs in CUDA_VISIBLE_DEVICES; torch gives their number."""
    import torch  # whoever has planned a step on a GPU has imported it; others are spared

    count = torch.cuda.device_count()
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in given.split(",")] if given else map(str, range(count))
    return tuple(names)[:count]


@contextmanager
def engine(options: ClusterOptions) -> Iterator[Engine]:
    """Worker processes of this machine, closed at the end."""
    with closing(WorkerPools(options)) as pools:
        try:
            yield pools.usual
        except KeyboardInterrupt:
            pools.kill()  # nobody waits for the blocks in flight
            raise
