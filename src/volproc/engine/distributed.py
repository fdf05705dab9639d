"""Blocks on Dask workers: one task each, a few in flight per worker, no more on the scheduler."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Self

from distributed import Client

from volproc.engine.events import Watcher, nobody
from volproc.engine.flight import Flight, Sent
from volproc.engine.protocol import Outcomes, Step, Waiting
from volproc.engine.roster import Roster
from volproc.engine.workers import Workers
from volproc.grid.blocks import Block

IN_FLIGHT_PER_THREAD = 2
"""One is done while one waits: the worker stays busy, the scheduler's memory flat."""
SAY_EVERY_S = 30.0
"""How often a run says what it waits for."""


class DaskEngine:
    """An engine on the workers of one Dask scheduler. A context manager: leaving it lets them go.

    As many blocks are in flight as the workers that are there now can take. The blocks of a worker
    that dies are done by another; a block that kills workers time and again
    (`distributed.scheduler.allowed-failures`) becomes a failed block. A worker that does not fit
    (other versions, another file system) is named and left out.
    """

    def __init__(
        self,
        workers: Workers,
        *,
        worker_bytes: int,
        threads: int = 1,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment` is set on workers that were started by others."""
        self.workers = workers
        self.threads = threads
        self.environment = dict(environment or {})
        self._landed = threading.Event()
        self._requested_bytes = worker_bytes

    @property
    def client(self) -> Client:
        """Dask's client."""
        return self.workers.client

    @property
    def worker_bytes(self) -> int:
        """Memory that one worker may use: that of the smallest, if there is any."""
        there = self.client.scheduler_info(n_workers=-1)["workers"].values()
        limits = [worker["memory_limit"] for worker in there]
        return int(min([self._requested_bytes, *(limit for limit in limits if limit)]))

    def for_step(self, step: Step) -> DaskEngine:
        """This engine."""
        return self

    def expect(self, steps: Sequence[Step]) -> Watcher:
        """Its workers are there already."""
        return nobody

    def map(self, step: Step, blocks: Iterable[Block]) -> Outcomes:
        """One outcome per block, as they come."""
        roster = Roster(self.workers)  # who lacks something for one step may do the next
        flight = Flight(
            step,
            client=self.client,
            roster=roster,
            wake=self._landed,
            environment=self.environment,
        )
        waiting, held = iter(blocks), deque[Block]()
        said = _Said()
        try:
            while True:
                roster.look(flight.block_seconds)
                window = IN_FLIGHT_PER_THREAD * roster.threads
                room = max(window - len(flight.sent), 0 if flight.sent else 1)
                held += islice(waiting, max(0, room - len(held)))
                if not held and not flight.sent:
                    return
                free = max(0, min(len(held), window - len(flight.sent)))
                flight.send([Sent(held.popleft()) for _ in range(free)])
                if not window and said.is_news(why := self.workers.waiting_for()):
                    yield Waiting(why)
                yield from flight.landed()
                if len(flight.sent) < window:
                    flight.send_stragglers()
        finally:
            flight.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the workers go; those that are ours are gone when this returns."""
        self.workers.close()


@dataclass
class _Said:
    """What was said last, and when."""

    text: str = ""
    at: float = 0.0

    def is_news(self, text: str) -> bool:
        now = time.monotonic()
        if text == self.text and now - self.at < SAY_EVERY_S:
            return False
        self.text, self.at = text, now
        return True
