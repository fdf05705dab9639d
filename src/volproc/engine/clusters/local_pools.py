"""Pools on this machine: one worker per core, or one per GPU where a step uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from volproc.config.cluster import ClusterOptions
from volproc.engine.clusters.local import local_engine
from volproc.engine.clusters.pools import Pools, WorkerPool, at_work, threads_of
from volproc.engine.distributed import DaskEngine
from volproc.engine.machine import machine_bytes, machine_cores, visible_gpus
from volproc.engine.memory import share_of_machine
from volproc.engine.protocol import Engine, Step


@dataclass(frozen=True)
class LocalPool(WorkerPool):
    """How many workers, and the GPUs dealt out to them."""

    workers: int
    gpus: tuple[str, ...] = ()

    def can_do(self, requested: WorkerPool) -> bool:
        """Whether these workers can do what those of the `requested` pool could."""
        gpus = getattr(requested, "gpus", ()) or self.gpus
        return self == requested or self == replace(requested, gpus=gpus)  # type: ignore[call-arg]


class LocalPools(Pools):
    """The workers that suit each step, on this machine.

    `gpus` gives the names of the GPUs; it is called when a step is to use one.
    """

    one_at_a_time = True

    def __init__(
        self, options: ClusterOptions, *, gpus: Callable[[], tuple[str, ...]] | None = None
    ) -> None:
        super().__init__()
        self._options = options
        self._gpus = gpus or visible_gpus

    def pool_for(self, step: Step | None) -> LocalPool:
        """The pool for `step`: on GPUs one worker each, unless the options say otherwise."""
        options = self._options
        if step is None or not step.on_gpu:
            return self._pool(options.workers or machine_cores())
        gpus = self._gpus()
        one_each = min(len(gpus), options.workers or len(gpus))
        return self._pool(options.gpu_workers or max(1, one_each), gpus)

    def _pool(self, workers: int, gpus: tuple[str, ...] = ()) -> LocalPool:
        # Dask gives no worker more than the machine has, whatever it is asked for
        memory = min(machine_bytes(), self._options.worker_bytes or share_of_machine(workers))
        threads = threads_of(self._options.threads, on_gpu=bool(gpus))
        return LocalPool(threads, memory, workers, gpus)

    def start(self, pool: WorkerPool) -> DaskEngine:
        """Start workers of this machine."""
        assert isinstance(pool, LocalPool)
        return local_engine(
            workers=pool.workers,
            threads=pool.threads,
            worker_bytes=pool.worker_bytes,
            gpus=pool.gpus,
        )


@contextmanager
def engine(options: ClusterOptions) -> Iterator[Engine]:
    """Worker processes of this machine, closed at the end."""
    with at_work(LocalPools(options)) as engine:
        yield engine
