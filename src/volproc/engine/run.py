"""Runs steps: what is recorded is left alone, the rest goes to the engine, and is recorded."""

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
from volproc.engine.leased import leased
from volproc.engine.ledger import Ledger, forget, ledger_path
from volproc.engine.memory import GPU_RESERVED_BYTES, RESERVED_BYTES, check_memory
from volproc.engine.protocol import Blame, Engine, Outcome, Outcomes, Step
from volproc.errors import REPORT, BlocksFailedError, VolprocError
from volproc.faults import IN_THE_LOG, fault_of, first_line

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
    """An engine, a folder for the record of what is done, and those who want to hear of it.

    `records` may be at any fsspec URL: then a run that died on one machine goes on on another.
    """

    engine: Engine
    records: str | Path
    watchers: Sequence[Watcher] = ()
    overwrite: bool = False
    """Whether what volproc made may be replaced though it was made otherwise."""
    own: bool = False
    """Whether outputs lie in a run's own folder, where what the run made may be made anew."""

    def run(self, step: Step) -> list[Any]:
        """Do the blocks of `step` that are not recorded yet; records of all blocks, in their order.

        MemoryLimitError before anything starts; the VolprocError of a block that the user can
        mend, or BlocksFailedError, after all others are done.
        """
        engine = self.engine.for_step(step)
        check_memory(
            step.name,
            step.held_bytes(engine.threads),
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
        """Record blocks as they are done; voxels of this run, and its peak memory."""
        voxels, peak = 0, 0
        failed: list[Outcome] = []
        with closing(outcomes):
            for outcome in outcomes:
                peak = max(peak, outcome.peak_bytes)
                if outcome.failure is not None:
                    failed.append(outcome)
                    self._tell(_told(step, failed))
                    if len(failed) == MAX_FAILURES:
                        break
                    continue
                ledger.add(outcome.block.index, outcome.record)
                voxels += outcome.block.core.size
                self._tell(_done(step, outcome, len(ledger.records)))
        if failed:
            raise _failure(step, failed)
        return voxels, peak

    def forget(self, step: str) -> None:
        """Drop the record of a step whose output is about to be made anew."""
        forget(self.records, step)

    @contextmanager
    def noting_bugs(self) -> Iterator[Runner]:
        """This runner; a bug that ends what is done meanwhile is told to watchers, and goes on."""
        try:
            yield self
        except Exception as error:
            if not isinstance(error, VolprocError) and fault_of(error) is None:
                trace = "".join(traceback.format_exception(error))
                with suppress(VolprocError):  # the bug is told, not that the log has no place
                    self._tell(Crashed(f"{type(error).__name__}: {first_line(error)}", trace))
                    error.add_note(IN_THE_LOG)
            raise

    def note(self, text: str) -> None:
        """Say something that a user should know."""
        self._tell(Note(text))

    def _tell(self, event: Event) -> None:
        for watch in self.watchers:
            watch(event)


def _nothing() -> Outcomes:
    yield from ()


def _done(step: Step, outcome: Outcome, done: int) -> BlockDone:
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


def _told(step: Step, failed: Sequence[Outcome]) -> BlockFailed:
    """The last failure; the traceback of bugs is told once, with the first block."""
    last, bugs = failed[-1], [outcome for outcome in failed if outcome.trace]
    trace = last.trace if bugs[:1] == [last] else ""
    reason = last.failure or ""
    return BlockFailed(step.name, last.block.index, reason, last.worker, last.host, trace)


def _failure(step: Step, failed: list[Outcome]) -> VolprocError:
    # what a user can mend is told last: a bug or a dead worker would be hidden
    first = min(failed, key=lambda outcome: BLAMED_FIRST.index(outcome.blame))
    if first.blame == "user":
        more = f" (and {len(failed) - 1} more blocks)" if len(failed) > 1 else ""
        return VolprocError(f"{step.name}: {first.failure}{more}")
    listed = ", ".join(f"{o.block.index} ({o.block.core})" for o in failed)
    return BlocksFailedError(
        f"{step.name}: {len(failed)} of {len(step.blocks)} blocks failed: {listed}; first reason: "
        f"{first.failure}; {NEXT[first.blame]}"
    )
