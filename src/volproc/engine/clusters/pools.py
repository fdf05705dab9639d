"""Pools of workers: each step has those that suit it, asked for and let go in time."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from volproc.config.cluster import GPU_THREADS
from volproc.engine.distributed import DaskEngine
from volproc.engine.events import BlockDone, Event, StepStarted, Watcher
from volproc.engine.protocol import Engine, Outcomes, Step
from volproc.engine.serial import SerialEngine
from volproc.grid.blocks import Block


@dataclass(frozen=True)
class WorkerPool:
    """Workers of one kind: blocks in flight on each, and its memory."""

    threads: int
    worker_bytes: int

    def can_do(self, requested: WorkerPool) -> bool:
        """Whether these workers can do what those of the `requested` pool could."""
        return self == requested


class Pools(ABC):
    """The pools of a cluster, each started for the first block that needs it.

    A kind of cluster says which pool a step needs and how one is started. With `one_at_a_time`
    pools share a machine: one is closed before the next is started.
    """

    one_at_a_time = False
    ask_ahead_s = 0.0
    """A pool is asked for so long before its first step is expected to begin."""

    def __init__(self) -> None:
        self._running: dict[WorkerPool, DaskEngine] = {}
        self._changing = threading.RLock()

    @abstractmethod
    def pool_for(self, step: Step | None) -> WorkerPool:
        """The pool that does a step; that of steps on CPUs without one."""

    @abstractmethod
    def start(self, pool: WorkerPool) -> DaskEngine:
        """Start a pool; workers may come later."""

    @property
    def usual(self) -> PoolEngine:
        """The engine for steps that use no GPU."""
        return PoolEngine(self, self.pool_for(None))

    def started(self, pool: WorkerPool) -> DaskEngine:
        """The engine of `pool`, or of a running one that can do the same."""
        with self._changing:
            there = next((one for one in self._running if one.can_do(pool)), None)
            if there is None:
                if self.one_at_a_time:
                    self.close()
                self._running[pool] = self.start(pool)
                there = pool
            return self._running[there]

    def keep(self, wanted: Iterable[WorkerPool]) -> None:
        """Let go of all pools but those that can do what one of the wanted could."""
        wanted = list(wanted)
        with self._changing:
            for pool in list(self._running):
                if not any(pool.can_do(one) for one in wanted):
                    self._running.pop(pool).close()

    def kill(self) -> None:
        """End all workers at once, whatever they do."""
        for engine in self._running.values():
            engine.workers.kill()

    def close(self) -> None:
        """Let all workers go."""
        self.keep(())


@dataclass(frozen=True)
class PoolEngine:
    """An engine on one pool of several, which is started when `map` is called."""

    pools: Pools
    pool: WorkerPool

    @property
    def worker_bytes(self) -> int:
        """Memory of one worker."""
        return self.pool.worker_bytes

    @property
    def threads(self) -> int:
        """Blocks in flight on one worker."""
        return self.pool.threads

    def for_step(self, step: Step) -> Engine:
        """The engine on the pool for `step`; nothing is started yet."""
        if step.alone and self.pools.one_at_a_time:
            return SerialEngine()
        return PoolEngine(self.pools, self.pools.pool_for(step))

    def expect(self, steps: Sequence[Step]) -> Watcher:
        """What asks for pools ahead of their first step, and lets them go after their last one."""
        return LookAhead(self.pools, steps)

    def map(self, step: Step, blocks: Iterable[Block]) -> Outcomes:
        """One outcome per block, as they come."""
        return self.pools.started(self.pool).map(step, blocks)


class LookAhead:
    """Follows a run: pools are asked for before their first step, and let go after their last.

    How long the steps before it will take is known of the step that runs, by its pace; a step of
    which nothing is known is taken to be short, so that a pool comes too early rather than late.
    """

    def __init__(self, pools: Pools, steps: Sequence[Step]) -> None:
        self._pools = pools
        self._order = {step.name: n for n, step in enumerate(steps)}
        self._needed = [pools.pool_for(step) for step in steps]
        self._at = 0
        self._began = (0.0, 0)

    def __call__(self, event: Event) -> None:
        """Ask for a pool, or let one go, if it is time."""
        if isinstance(event, StepStarted) and event.step in self._order:
            self._at = self._order[event.step]
            self._began = time.monotonic(), event.done
            self._pools.keep(self._needed[self._at :])
            self._ask(None if event.done < event.total else 0.0)
        elif isinstance(event, BlockDone) and event.step in self._order:
            began, first = self._began
            pace = (time.monotonic() - began) / max(1, event.done - first)
            self._ask(pace * (event.total - event.done))

    def _ask(self, seconds_left: float | None) -> None:
        """Start what the next steps need, if the current one is soon done (None: unknown)."""
        if self._pools.one_at_a_time or seconds_left is None:
            return
        if seconds_left <= self._pools.ask_ahead_s:
            for pool in self._needed[self._at + 1 :]:
                self._pools.started(pool)


def threads_of(stated: int, *, on_gpu: bool) -> int:
    """Blocks in flight on one worker, where the options leave it open."""
    return stated or (GPU_THREADS if on_gpu else 1)


@contextmanager
def at_work(pools: Pools) -> Iterator[Engine]:
    """The engine on `pools`, which are closed at the end, and at once when somebody interrupts."""
    with closing(pools):
        try:
            yield pools.usual
        except KeyboardInterrupt:
            pools.kill()  # nobody waits for the blocks in flight
            raise
