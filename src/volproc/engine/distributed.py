"""Blocks on Dask workers: one task each, a few in flight per worker, no more on the scheduler."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Self
from uuid import uuid4

from distributed import Client, Future, KilledWorker, as_completed

from volproc.engine import wire
from volproc.engine.protocol import Outcome, Outcomes, Step, Task
from volproc.errors import TransientError, VolprocError
from volproc.grid.blocks import Block

IN_FLIGHT_PER_THREAD = 2
"""One is done while one waits: the worker stays busy, the scheduler's memory flat."""
LOOK_EVERY_S = 0.1
"""How often blocks that may not go to every worker are checked."""
MAX_STRANDED = 10
"""As often as Dask's own `allowed-failures`, which does not count where we choose the workers."""

logger = logging.getLogger("volproc")


class DaskEngine:
    """An engine on any Dask cluster. A context manager: leaving it closes the cluster.

    The blocks of a worker that dies are done by another; a block that kills workers time and again
    (`distributed.scheduler.allowed-failures`) becomes a failed block. A worker with other versions
    than this process is named and left out.
    """

    def __init__(
        self, cluster: Any, *, worker_bytes: int, threads: int = 1, held: ExitStack | None = None
    ) -> None:
        """`held` is closed with the engine."""
        self.cluster = cluster
        self.client = Client(cluster, set_as_default=False)
        self.threads = threads
        self.left_out: dict[str, str] = {}
        """Why each worker that gets no blocks gets none, by its address."""
        self._held = held or ExitStack()
        self._requested_bytes = worker_bytes

    @property
    def worker_bytes(self) -> int:
        """Memory that one worker may use: that of the smallest, if there is any."""
        limits = [worker["memory_limit"] for worker in self._workers().values()]
        return int(min([self._requested_bytes, *(limit for limit in limits if limit)]))

    def for_step(self, step: Step) -> DaskEngine:
        """This engine."""
        return self

    def map(self, task: Task, blocks: Iterable[Block]) -> Outcomes:
        """One outcome per block, as they come."""
        flight = _Flight(self, wire.packed(task))
        waiting = iter(blocks)
        try:
            while flight.fill(islice(waiting, max(0, self._in_flight() - len(flight.sent)))):
                outcome = flight.land()
                if outcome is not None:
                    yield outcome
        finally:
            self.client.cancel(list(flight.sent))

    def places(self, avoid: str = "") -> list[str] | None:
        """Workers that a block may go to, not `avoid` if there are others; None for any.

        VolprocError if none is left.
        """
        if not self.left_out and not avoid:
            return None
        there = [address for address in self._workers() if address not in self.left_out]
        if self._workers() and not there:
            address, why = next(iter(self.left_out.items()))
            raise VolprocError(
                f"no worker is left that has the versions of this process: {address} has {why}; "
                "install the same versions there"
            )
        return [address for address in there if address != avoid] or there or None

    def leave_out(self, worker: str, why: str) -> None:
        """Give no more blocks to a worker, and say so once."""
        if worker not in self.left_out:
            self.left_out[worker] = why
            logger.warning("the worker at %s is left out: it has %s", worker, why)

    def leave_out_misfits(self) -> None:
        """Leave out workers that have other versions, or cannot report theirs."""
        reported = self.client.run(wire.load, wire.versions_call(), on_error="return")
        for worker, found in reported.items():
            failed = isinstance(found, Exception)
            why = str(found) if failed else wire.difference(wire.versions(), found)
            if why:
                self.leave_out(worker, why)

    def _workers(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.scheduler_info()["workers"]
        return found

    def _in_flight(self) -> int:
        threads: int = sum(self.client.nthreads().values())
        return max(2, IN_FLIGHT_PER_THREAD * threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the workers go; they are gone when this returns."""
        with self._held:
            self.client.close()
            self.cluster.close()


@dataclass(frozen=True)
class _Sent:
    """A block in flight: the worker that has failed at it, the only ones it may go to, how many
    were left out then, and how often it was sent again because those were gone."""

    block: Block
    failed_on: str = ""
    places: list[str] | None = None
    left_out: int = 0
    stranded: int = 0


class _Flight:
    """The blocks of one task that are in flight."""

    def __init__(self, engine: DaskEngine, task: bytes) -> None:
        self.sent: dict[Future, _Sent] = {}
        self._engine, self._task = engine, task
        self._running = as_completed([], loop=engine.client.loop)
        self._given_up: list[Outcome] = []

    def fill(self, blocks: Iterable[Block]) -> bool:
        """Send blocks; whether any is in flight."""
        for block in blocks:
            self._send(_Sent(block))
        return bool(self.sent or self._given_up)

    def land(self) -> Outcome | None:
        """The outcome of the next block that is back; None if it was sent again."""
        self._wait()
        if self._given_up:
            return self._given_up.pop()
        future = next(self._running)
        if future not in self.sent:  # sent again elsewhere
            return None
        if future.status in ("pending", "lost"):
            # Its worker died between finishing it and handing over the record: the scheduler has
            # it done again.
            self._running.add(future)
            return None
        sent = self.sent.pop(future)
        if future.status != "finished":
            return self._without_reply(future, sent)
        reply: wire.Reply = future.result()
        if reply.outcome is None:
            self._engine.leave_out(reply.worker, reply.misfit)
            self._send(sent)
            return None
        return self._judged(reply.outcome, reply.worker, sent)

    def _judged(self, outcome: Outcome, worker: str, sent: _Sent) -> Outcome | None:
        """The outcome; None if the block is tried on another worker, as its machine may be at
        fault."""
        if outcome.failure is None or outcome.blame != "transient":
            return outcome
        others = self._engine.places(avoid=worker) or [worker]
        if sent.failed_on or worker in others:
            where = " on two workers" if sent.failed_on else ""
            return replace(outcome, failure=f"{outcome.failure}{where}, last {outcome.host}")
        self._send(replace(sent, failed_on=worker))
        return None

    def _without_reply(self, future: Future, sent: _Sent) -> Outcome | None:
        """What Dask reports of a block whose worker did not reply; None if it was sent again."""
        if future.status == "cancelled":
            raise TransientError(
                f"the Dask scheduler at {self._engine.client.scheduler.address} is gone, or has "
                "dropped this run's blocks; run the same command again: finished blocks are kept"
            )
        error = future.exception()
        if isinstance(error, KilledWorker):
            last, times = error.last_worker, error.allowed_failures + 1
            return Outcome(
                sent.block,
                failure=f"its worker died {times} times, last {last.address} on {last.host}; often "
                "that is too little memory: see the log of the worker",
                blame="worker",
                host=last.host,
            )
        self._engine.leave_out_misfits()
        if sent.left_out < len(self._engine.left_out):
            self._send(sent)
            return None
        return Outcome(sent.block, failure=f"{type(error).__name__}: {error}", blame="bug")

    def _send(self, sent: _Sent) -> None:
        # the task travels with each block: stored on one worker, it would die with it
        places = self._engine.places(avoid=sent.failed_on)
        future = self._engine.client.submit(
            wire.load,
            wire.block_call(self._task, sent.block),
            key=f"block-{sent.block.index}-{uuid4().hex}",
            workers=places,
            pure=False,
        )
        self.sent[future] = replace(sent, places=places, left_out=len(self._engine.left_out))
        self._running.add(future)

    def _wait(self) -> None:
        """Wait for a block. Dask alone would wait for ever for workers that are gone."""
        while any(sent.places for sent in self.sent.values()):
            if self._running.has_ready() or self._given_up:
                return
            self._send_stranded()
            time.sleep(LOOK_EVERY_S)

    def _send_stranded(self) -> None:
        there = self._engine.client.nthreads()
        for future, sent in list(self.sent.items()):
            if not sent.places or any(place in there for place in sent.places):
                continue
            del self.sent[future]
            future.cancel()
            if sent.stranded < MAX_STRANDED:
                self._send(replace(sent, stranded=sent.stranded + 1))
                continue
            gone = f"the workers it was sent to were gone {MAX_STRANDED + 1} times, last "
            failure = f"{gone}{', '.join(sent.places)}; their logs say why"
            self._given_up.append(Outcome(sent.block, failure=failure, blame="worker"))
