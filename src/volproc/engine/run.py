"""Runs steps: recorded blocks are left alone, the others go to the engine and are recorded."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from volproc.engine.events import (
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
from volproc.engine.protocol import Blame, Engine, Outcome, Outcomes, Step, Task
from volproc.errors import REPORT, BlocksFailedError, VolprocError
from volproc.faults import IN_THE_LOG, fault_of, first_line
from volproc.grid.blocks import Block
from volproc.lease import Lease, current, under

BLAMED_FIRST: tuple[Blame, ...] = ("bug", "worker", "transient", "user")
NEXT: dict[Blame, str] = {
    "bug": f"{REPORT}; the finished blocks are kept",
    "worker": "the finished blocks are kept, the same command goes on from here",
    "transient": "the finished blocks are kept, run the same command again",
}

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

    def run(self, step: Step) -> list[Any]:
        """Do the blocks of `step` that are not recorded yet; the records of all blocks, in order.

        MemoryLimitError before anything starts; after all other blocks are done the VolprocError of
        a block if the user can fix its cause, else BlocksFailedError.
        """
        engine = self.engine.for_step(step)
        check_memory(
            step.name,
            step.projected_bytes(engine.threads),
            blocks=engine.threads,
            worker_bytes=engine.worker_bytes,
            reserved=GPU_RESERVED_BYTES if step.on_gpu else RESERVED_BYTES,
        )
        url = ledger_path(self.records, step.name)
        ledger = Ledger(url, digest=step.digest, blocks=len(step.blocks))
        recorded = [block for block in step.blocks if block.index in ledger.records]
        for place in step.writes if recorded else ():
            ledger.drop(place.lost(recorded))
        left = (block for block in step.blocks if block.index not in ledger.records)
        some = len(ledger.records) < len(step.blocks)
        assert step.task is not None
        outcomes = engine.map(leased(step.task), left) if some else _nothing()
        began = time.monotonic()
        self._tell(StepStarted(step.name, len(ledger.records), len(step.blocks)))
        try:
            voxels, peak = self._do(step, outcomes, ledger)
        finally:
            ledger.flush()
        seconds = time.monotonic() - began
        self._tell(StepFinished(step.name, len(step.blocks), voxels, round(seconds, 3), peak))
        return [ledger.records[block.index] for block in step.blocks]

    def _do(self, step: Step, outcomes: Outcomes, ledger: Ledger) -> tuple[int, int]:
        """Record blocks as they are done; the voxels of this run, and its peak memory."""
        voxels, peak = 0, 0
        failed: list[Outcome] = []
        with closing(outcomes):
            for outcome in outcomes:
                peak = max(peak, outcome.peak_bytes)
                if outcome.failure is not None:
                    failed.append(outcome)
                    self._tell(_block_failed(step, failed))
                    if len(failed) == MAX_FAILURES:
                        break
                    continue
                ledger.add(outcome.block.index, outcome.record)
                voxels += outcome.block.core.size
                self._tell(_block_done(step, outcome, len(ledger.records)))
        if failed:
            raise _failure(step, failed)
        return voxels, peak

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


@dataclass(frozen=True)
class UnderLease:
    """A task that may not write, wherever it runs, once its output has another owner."""

    task: Task
    leases: tuple[Lease, ...]

    def load(self, block: Block) -> Any:
        """As the task does."""
        with under(self.leases):
            return self.task.load(block)

    def compute(self, block: Block, loaded: Any) -> Any:
        """As the task does."""
        with under(self.leases):
            return self.task.compute(block, loaded)

    def store(self, block: Block, result: Any) -> Any:
        """As the task does, if the leases are still held."""
        with under(self.leases):
            return self.task.store(block, result)


def leased(task: Task) -> Task:
    """The task with the leases of this thread; itself where there are none."""
    return UnderLease(task, current()) if current() else task
