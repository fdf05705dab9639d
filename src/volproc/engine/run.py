"""Runs steps: recorded blocks are left alone, the others go to the engine and are recorded."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from volproc.engine.events import (
    Advanced,
    BlockDone,
    BlockFailed,
    Crashed,
    Event,
    Note,
    StepFinished,
    StepStarted,
    Watcher,
)
from volproc.engine.ledger import Ledger, forget, ledger_path
from volproc.engine.memory import GPU_RESERVED_BYTES, RESERVED_BYTES, check_memory
from volproc.engine.protocol import Blame, Engine, Outcome, Outcomes, Step, Waiting
from volproc.engine.reporting import reporting_to
from volproc.errors import REPORT, BlocksFailedError, StoppedError, VolprocError
from volproc.faults import IN_THE_LOG, fault_of, first_line
from volproc.grid.blocks import Block

BLAMED_FIRST: tuple[Blame, ...] = ("bug", "worker", "transient", "user")
NEXT: dict[Blame, str] = {
    "bug": f"{REPORT}; the finished blocks are kept",
    "worker": "the finished blocks are kept, the same command goes on from here",
    "transient": "the finished blocks are kept, run the same command again",
}

ENDED = object()
T = TypeVar("T")
Chain = Generator[Step, list[Any], T]
"""Steps one after the other."""

MAX_FAILURES = 10
"""A step with this many failed blocks is given up: the next ones would fail as well."""


@dataclass
class Runner:
    """An engine, a folder for the records of what is done, and the progress watchers.

    `records` may be at any fsspec URL: a run that died on one machine then resumes on another.
    """

    engine: Engine
    records: str | Path
    watchers: Sequence[Watcher] = ()
    overwrite: bool = False
    """Whether outputs that volproc made from other options or inputs may be replaced."""
    own: bool = False
    """Whether outputs are in a run's own folder, where the run may remake what it made."""
    until: float = math.inf
    """Unix time from which no new blocks are begun."""
    clock: Callable[[], float] = time.time

    def run(self, step: Step) -> list[Any]:
        """Do the blocks of `step` that are not recorded yet; the records of all blocks, in order.

        MemoryLimitError before anything starts; after all other blocks are done the VolprocError of
        a block if the user can fix its cause, else BlocksFailedError. StoppedError when the time is
        over and blocks are left.
        """
        records: list[Any]
        (records,) = self.run_together(only(step))
        return records

    def run_together(self, *chains: Chain[Any]) -> list[Any]:
        """What chains of steps return that do not depend on one another; they share the workers.

        A chain yields a step and is sent its records: what follows in it is done after the step.
        """
        ends: dict[int, Any] = {}
        over: list[StoppedError] = []
        with ExitStack() as open_ones:
            active = {n: self._follow(chain) for n, chain in enumerate(chains)}
            for one in active.values():
                open_ones.enter_context(closing(one))
            while active:
                for n in list(active):
                    try:
                        next(active[n])
                    except StopIteration as end:
                        ends[n] = end.value
                        del active[n]
                    except StoppedError as stopped:  # the others still have blocks at work
                        over.append(stopped)
                        del active[n]
        if over:
            raise over[0]
        return [ends[n] for n in range(len(chains))]

    def _follow(self, chain: Chain[Any]) -> Generator[None, None, Any]:
        """Run a chain's steps one after the other; yields whenever others may have a turn."""
        records: list[Any] | None = None
        while True:
            try:
                step = next(chain) if records is None else chain.send(records)
            except StopIteration as end:
                return end.value
            records = yield from self._running(step)

    def _running(self, step: Step) -> Generator[None, None, list[Any]]:
        engine = self.engine.for_step(step)
        projected, limit = step.projected_bytes(engine.threads), engine.worker_bytes
        reserved = GPU_RESERVED_BYTES if step.on_gpu else RESERVED_BYTES
        check_memory(
            step.name,
            projected,
            blocks=engine.threads,
            worker_bytes=limit,
            reserved=reserved,
            way_out=step.way_out,
        )
        url = ledger_path(self.records, step.name)
        ledger = Ledger(url, digest=step.digest, blocks=len(step.blocks))
        recorded = [block for block in step.blocks if block.index in ledger.records]
        for place in step.writes if recorded else ():
            ledger.drop(place.lost(recorded))
        left = (block for block in step.blocks if block.index not in ledger.records)
        some = len(ledger.records) < len(step.blocks)
        if some:
            self._require_time(step, ledger)  # else workers would be started for nothing
        outcomes = engine.map(step, self._in_time(left)) if some else _nothing()
        began = time.monotonic()
        done, total = len(ledger.records), len(step.blocks)
        memory = projected + reserved, limit
        self._tell(
            StepStarted(step.name, done, total, step.on_gpu, *memory, precision=step.precision)
        )
        try:
            voxels, peak = yield from self._do(step, outcomes, ledger)
        finally:
            ledger.flush()
        if len(ledger.records) < len(step.blocks):
            self._require_time(step, ledger)
        seconds = time.monotonic() - began
        self._tell(StepFinished(step.name, len(step.blocks), voxels, round(seconds, 3), peak))
        return [ledger.records[block.index] for block in step.blocks]

    def _do(
        self, step: Step, outcomes: Outcomes, ledger: Ledger
    ) -> Generator[None, None, tuple[int, int]]:
        """Record blocks as they are done; the voxels of this run, and its peak memory."""
        voxels, peak, stopped = 0, 0, ""
        failed: list[Outcome] = []

        def told(done: int, total: int, said: str) -> None:
            self._tell(Advanced(step.name, done, total, said))

        with closing(outcomes):
            while len(failed) < MAX_FAILURES:
                with reporting_to(told):  # only here: other steps have their turns
                    outcome = next(outcomes, ENDED)
                if outcome is ENDED:
                    break
                if isinstance(outcome, Waiting):
                    told(len(ledger.records), len(step.blocks), outcome.why)
                elif isinstance(outcome, Outcome) and outcome.blame == "time":
                    stopped = outcome.failure or ""
                elif isinstance(outcome, Outcome):
                    peak = max(peak, outcome.peak_bytes)
                    if outcome.failure is not None:
                        failed.append(outcome)
                        self._tell(_block_failed(step, failed))
                        continue
                    ledger.add(outcome.block.index, outcome.record)
                    voxels += outcome.block.core.size
                    self._tell(_block_done(step, outcome, len(ledger.records)))
                yield
        if failed:
            raise _failure(step, failed)
        if stopped:
            raise StoppedError(stopped)
        return voxels, peak

    def is_over(self) -> bool:
        """Whether the time for new blocks is over."""
        return self.clock() >= self.until

    def _in_time(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks that may still be begun: engines ask for the next one when they can do it."""
        for block in blocks:
            if self.is_over():
                return
            yield block

    def _require_time(self, step: Step, ledger: Ledger) -> None:
        """StoppedError if the time is over."""
        if self.is_over():
            at = datetime.fromtimestamp(self.until).strftime("%H:%M")
            raise StoppedError(
                f"stopped at {at} as --until says: {len(ledger.records)} of {len(step.blocks)} "
                f"blocks of {step.name} are recorded; the same command goes on from here"
            )

    def forget(self, step: str) -> None:
        """Drop the records of a step whose output is about to be remade."""
        forget(self.records, step)

    @contextmanager
    def noting_bugs(self) -> Iterator[Runner]:
        """This runner; a bug raised inside is reported to the watchers, and raised again."""
        try:
            yield self
        except Exception as error:
            if not isinstance(error, VolprocError) and fault_of(error) is None:
                trace = "".join(traceback.format_exception(error))
                with suppress(VolprocError):  # a log that cannot be written must not hide the bug
                    self._tell(Crashed(f"{type(error).__name__}: {first_line(error)}", trace))
                    error.add_note(IN_THE_LOG)
            raise

    def note(self, text: str) -> None:
        """Tell the watchers something that users should know."""
        self._tell(Note(text))

    def _tell(self, event: Event) -> None:
        for watch in self.watchers:
            watch(event)


def _nothing() -> Outcomes:
    yield from ()


def only(step: Step) -> Chain[list[Any]]:
    """A chain of one step, which returns its records."""
    records = yield step
    return records


def _block_done(step: Step, outcome: Outcome, done: int) -> BlockDone:
    return BlockDone(
        step=step.name,
        block=outcome.block.index,
        done=done,
        total=len(step.blocks),
        voxels=outcome.block.core.size,
        worker=outcome.worker,
        peak_bytes=outcome.peak_bytes,
        host=outcome.host,
        seconds=round(outcome.seconds, 3),
        tries=outcome.tries,
    )


def _block_failed(step: Step, failed: Sequence[Outcome]) -> BlockFailed:
    """The last failure; the traceback of bugs is reported once, with the first block."""
    last, bugs = failed[-1], [outcome for outcome in failed if outcome.trace]
    trace = last.trace if bugs[:1] == [last] else ""
    reason = last.failure or ""
    return BlockFailed(step.name, last.block.index, reason, last.worker, last.host, trace)


def _failure(step: Step, failed: list[Outcome]) -> VolprocError:
    # errors that users can fix come last: they would hide a bug or a dead worker
    first = min(failed, key=lambda outcome: BLAMED_FIRST.index(outcome.blame))
    if first.blame == "user":
        more = f" (and {len(failed) - 1} more blocks)" if len(failed) > 1 else ""
        return VolprocError(f"{step.name}: {first.failure}{more}")
    listed = ", ".join(f"{o.block.index} ({o.block.core})" for o in failed)
    doubt = f"; or {step.reads}, which it was reading, is damaged" if step.reads else ""
    return BlocksFailedError(
        f"{step.name}: {len(failed)} of {len(step.blocks)} blocks failed: {listed}; first reason: "
        f"{first.failure}{doubt if first.blame == 'worker' else ''}; {NEXT[first.blame]}"
    )
