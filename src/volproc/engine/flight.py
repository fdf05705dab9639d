"""The blocks of one step that are in flight: sent, landed, and sent again where a worker fails."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from queue import Empty, SimpleQueue
from statistics import median
from typing import Any
from uuid import uuid4

from distributed import Client, Future, KilledWorker

from volproc.config.devices import gpus_elsewhere
from volproc.engine import wire
from volproc.engine.leased import leased
from volproc.engine.protocol import Outcome, Step
from volproc.engine.reporting import report
from volproc.engine.roster import LOOK_EVERY_S, Roster, gone
from volproc.grid.blocks import Block

MAX_STRANDED = 10
"""As often as Dask's own `allowed-failures`, which does not count where we choose the workers."""
STRAGGLER, STRAGGLER_S = 4.0, 60.0
"""At the end of a step a block that takes so many times the median, and so long, is tried on
another worker as well. Writing it twice is harmless."""


@dataclass(frozen=True)
class Sent:
    """A block in flight: the worker that has failed at it and its tries, the only ones it may go
    to, how many were left out then, how often it was sent again because those were gone, and since
    when."""

    block: Block
    failed_on: str = ""
    tries: int = 0
    places: list[str] | None = None
    left_out: int = 0
    stranded: int = 0
    tried_twice: bool = False
    at: float = field(default_factory=time.monotonic)
    future: Future | None = None


class Flight:
    """The blocks of one step that are in flight.

    A worker publishes its reply under the flight's topic, which spares two calls a block: Dask's
    own result is fetched only where that is lost. What Dask reports of a block without a reply is
    looked for once a second.
    """

    def __init__(
        self,
        step: Step,
        *,
        client: Client,
        roster: Roster,
        wake: threading.Event,
        environment: Mapping[str, str],
    ) -> None:
        """`wake` is set when a block of any step is back."""
        self.sent: dict[str, Sent] = {}
        """By the key of Dask's task."""
        self._client, self._roster, self._wake = client, roster, wake
        assert step.task is not None
        self._task = wire.packed(leased(step.task))
        self._topic = f"volproc-{uuid4().hex}"
        self._needed = wire.expected(
            topic=self._topic,
            bytes=step.projected_bytes(1),
            gpu=step.on_gpu and gpus_elsewhere() is not None,
            environment=dict(environment),
        )
        self._key = re.sub(r"\W+", "_", step.name)
        self._heard: SimpleQueue[Any] = SimpleQueue()
        client.subscribe_topic(self._topic, self._hear)
        self._looked = time.monotonic()
        self._seconds: deque[float] = deque(maxlen=100)

    @property
    def block_seconds(self) -> float:
        """How long a block takes; 0 before the first is back."""
        return median(self._seconds) if self._seconds else 0.0

    def landed(self) -> Iterator[Outcome | None]:
        """Outcomes of blocks that are back. If none is, one is waited for, of any step: None."""
        if self._heard.empty():
            self._wake.wait(LOOK_EVERY_S)
            self._wake.clear()
            yield None
        with suppress(Empty):
            while True:
                what, *told = self._heard.get_nowait()
                if what == wire.PROGRESS:
                    report(*told)
                elif (outcome := self._replied(*told)) is not None:
                    yield outcome
        if time.monotonic() - self._looked >= LOOK_EVERY_S:
            yield from self._send_stranded()
            yield from self._without_reply()
            self._looked = time.monotonic()

    def _hear(self, event: tuple[float, Any]) -> None:
        """Called by Dask's thread with what a worker says of a block."""
        self._heard.put(event[1])
        self._wake.set()

    def end(self) -> None:
        """Drop what is in flight."""
        client = self._client
        client.cancel([sent.future for sent in self.sent.values()])
        if client.status == "running":
            client.unsubscribe_topic(self._topic)

    def _replied(self, key: str, content: bytes) -> Outcome | None:
        """The outcome of a block whose worker has replied; None if it is to come, or has come."""
        sent = self.sent.pop(key, None)
        return self._answered(wire.reply(content), sent) if sent else None

    def _answered(self, reply: wire.Reply, sent: Sent) -> Outcome | None:
        if reply.outcome is None:
            self._roster.leave_out(reply.worker, reply.misfit)
            self.send([sent])
            return None
        self._seconds.append(reply.outcome.seconds)
        tries = sent.tries + sent.stranded + reply.outcome.tries
        outcome = replace(reply.outcome, tries=tries)
        return self._first(self._judged(outcome, reply.worker, sent), sent)

    def _without_reply(self) -> Iterator[Outcome]:
        """Outcomes of blocks that ended, as Dask says, and of which no reply has come.

        One that is "lost" is done again by the scheduler: its worker died before it handed over
        what it had.
        """
        for key, sent in list(self.sent.items()):
            assert sent.future is not None
            if key not in self.sent or sent.future.status in ("pending", "lost"):
                continue
            del self.sent[key]
            if sent.future.status == "finished":
                outcome = self._answered(sent.future.result(), sent)
            else:
                outcome = self._first(self._failed(sent.future, sent), sent)
            if outcome is not None:
                yield outcome

    def _first(self, outcome: Outcome | None, sent: Sent) -> Outcome | None:
        """The outcome, unless it is a failure and the block is at work elsewhere as well."""
        if outcome is None or not sent.tried_twice:
            return outcome
        twins = [key for key, one in self.sent.items() if one.block.index == sent.block.index]
        if outcome.failure is not None and twins:
            return None
        for twin in twins:
            _cancel(self.sent.pop(twin))
        return outcome

    def _judged(self, outcome: Outcome, worker: str, sent: Sent) -> Outcome | None:
        """The outcome; None if the block is tried on another worker, as its machine may be at
        fault."""
        if outcome.failure is None or outcome.blame != "transient":
            return outcome
        others = self._roster.places(avoid=worker) or [worker]
        if sent.failed_on or worker in others:
            where = " on two workers" if sent.failed_on else ""
            return replace(outcome, failure=f"{outcome.failure}{where}, last {outcome.host}")
        self.send([replace(sent, failed_on=worker, tries=outcome.tries - sent.stranded)])
        return None

    def _failed(self, future: Future, sent: Sent) -> Outcome | None:
        """What Dask reports of a block whose worker did not reply; None if it was sent again."""
        if future.status == "cancelled":
            raise gone(self._client)
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
        self._roster.leave_out_misfits()
        if sent.left_out < len(self._roster.left_out):
            self.send([sent])
            return None
        return Outcome(sent.block, failure=f"{type(error).__name__}: {error}", blame="bug")

    def send(self, blocks: Iterable[Sent]) -> None:
        """Put blocks into flight: one graph for all that go to the same workers."""
        for failed_on, some in groupby(blocks, key=lambda sent: sent.failed_on):
            self._submit(list(some), self._roster.places(avoid=failed_on))

    def _submit(self, blocks: list[Sent], places: list[str] | None) -> None:
        # the task travels with each block: stored on one worker, it would die with it
        keys = [f"{self._key}-{sent.block.index}-{uuid4().hex}" for sent in blocks]
        calls = [
            wire.block_call(self._needed, self._task, sent.block, key)
            for sent, key in zip(blocks, keys, strict=True)
        ]
        futures = self._client.map(wire.load, calls, key=keys, workers=places, pure=False)
        now, left_out = time.monotonic(), len(self._roster.left_out)
        for sent, key, future in zip(blocks, keys, futures, strict=True):
            more = {"places": places, "left_out": left_out, "at": now, "future": future}
            self.sent[key] = replace(sent, **more)

    def send_stragglers(self) -> None:
        """Try blocks that take far too long on other workers as well, once."""
        too_long = max(STRAGGLER_S, STRAGGLER * self.block_seconds)
        late = [
            (key, sent)
            for key, sent in self.sent.items()
            if not sent.tried_twice and time.monotonic() - sent.at > too_long and self._seconds
        ]
        if not late:
            return
        at_work = self._client.processing()
        for key, sent in late:
            where = next((w for w, keys in at_work.items() if key in keys), "")
            others = self._roster.places(avoid=where) or []
            if where and where not in others:
                self.sent[key] = replace(sent, tried_twice=True)
                self.send([replace(sent, tried_twice=True, failed_on=where)])

    def _send_stranded(self) -> Iterator[Outcome]:
        """Send blocks again whose workers are gone: Dask alone would wait for ever."""
        there = self._roster.there
        for key, sent in list(self.sent.items()):
            if not sent.places or any(place in there for place in sent.places):
                continue
            _cancel(self.sent.pop(key))
            if sent.stranded < MAX_STRANDED:
                self.send([replace(sent, stranded=sent.stranded + 1)])
                continue
            gone_ones = f"the workers it was sent to were gone {MAX_STRANDED + 1} times, last "
            failure = f"{gone_ones}{', '.join(sent.places)}; their logs say why"
            yield Outcome(sent.block, failure=failure, blame="worker")


def _cancel(sent: Sent) -> None:
    if sent.future is not None:
        sent.future.cancel()
