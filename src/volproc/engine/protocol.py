"""What a task, a step and an engine are. A block is one task: load, compute, store."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from volproc.engine.memory import process_peak_bytes
from volproc.errors import VolprocError
from volproc.grid.blocks import Block


class Written(Protocol):
    """Where a step's blocks are stored."""

    def lost(self, blocks: Iterable[Block]) -> set[int]:
        """Indices of those `blocks` that are not stored any more."""


class Task(Protocol):
    """What is done to one block. Frozen and small: it travels to the workers, arrays never do.

    Done twice it must write the same; it writes nothing outside its block's core.
    """

    def load(self, block: Block) -> Any:
        """Read what `compute` needs."""

    def compute(self, block: Block, loaded: Any) -> Any:
        """Work on it. Only one block of a process is here at a time, so it owns the device."""

    def store(self, block: Block, result: Any) -> Any:
        """Write the core; return a small record that JSON can hold."""


@dataclass(frozen=True)
class Step:
    """A task over blocks, with what it will cost: all that a plan shows and an engine needs.

    `digest` names everything the result depends on; `peak_bytes` is for one block at a time,
    the interpreter and libraries excluded; `flop` counts a multiply-add as two.
    """

    name: str
    task: Task
    blocks: Sequence[Block]
    digest: str
    peak_bytes: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    flop: int = 0
    notes: tuple[str, ...] = ()
    """One line each on what a user should know before it runs."""
    on_gpu: bool = False
    """Whether `compute` works on a GPU."""
    waiting_bytes: int | None = None
    """What a block takes while another one is computed: read, waiting, or being written. None: as
    much as at its peak."""

    recorded: int = 0
    """Blocks that were done before, where a plan looked (`volproc plan`)."""
    writes: tuple[Written, ...] = ()
    """Where blocks are stored: one that is recorded and not there any more is done again."""

    def held_bytes(self, blocks: int) -> int:
        """The most that so many blocks in hand of one worker take: one is computed at a time."""
        waiting = self.peak_bytes if self.waiting_bytes is None else self.waiting_bytes
        return max(self.peak_bytes, waiting) + (blocks - 1) * waiting


class Cost(Protocol):
    """What a plan shows of a step, or of work that no engine does."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def blocks(self) -> Sequence[Block]:
        """Its parts."""

    @property
    def peak_bytes(self) -> int:
        """Memory it takes."""

    @property
    def bytes_read(self) -> int:
        """From volumes."""

    @property
    def bytes_written(self) -> int:
        """To volumes."""

    @property
    def flop(self) -> int:
        """Arithmetic."""

    @property
    def notes(self) -> tuple[str, ...]:
        """One line each on what a user should know before it runs."""

    @property
    def recorded(self) -> int:
        """Parts that were done before."""


@dataclass(frozen=True)
class Outcome:
    """What became of one block: a record, or the reason why there is none."""

    block: Block
    record: Any = None
    failure: str | None = None
    user_can_mend: bool = False
    worker: int = 0
    peak_bytes: int = 0


Outcomes = Generator[Outcome, None, None]
"""Outcomes as they come; closed before the last, blocks that still wait are dropped."""


class Engine(Protocol):
    """Runs a task over blocks and yields their outcomes in any order."""

    @property
    def worker_bytes(self) -> int:
        """Memory one worker may use."""

    @property
    def threads(self) -> int:
        """Blocks one worker has in hand."""

    def for_step(self, step: Step) -> Engine:
        """The engine for `step`: this one, unless it has several kinds of workers."""

    def map(self, task: Task, blocks: Iterable[Block]) -> Outcomes:
        """One outcome per block, as they come. Called, it starts the workers; asked, it works."""


TRIES = 3
_device = threading.Lock()


def do_block(task: Task, block: Block) -> Outcome:
    """Load, compute and store one block, up to three times; never raises.

    A VolprocError is the same every time, so it is not tried again.
    """
    failure = ""
    for _ in range(TRIES):
        try:
            record = _done(task, block)
        except VolprocError as error:
            return _outcome(block, failure=str(error), user_can_mend=True)
        except Exception as error:
            said = " ".join(str(error).split())  # CUDA's errors have many lines
            failure = f"{type(error).__name__}: {said}"
        else:
            return _outcome(block, record=record)
    return _outcome(block, failure=f"{failure} (tried {TRIES} times)")


def _done(task: Task, block: Block) -> Any:
    """The record of a block, done once. What one phase has made is let go with the next."""
    loaded = task.load(block)
    with _device:
        result = task.compute(block, loaded)
    del loaded  # not in hand while it is written
    return task.store(block, result)


def _outcome(block: Block, **what: Any) -> Outcome:
    return Outcome(block, worker=os.getpid(), peak_bytes=process_peak_bytes(), **what)
