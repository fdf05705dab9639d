"""What a task, a step and an engine are. A block is one task: load, compute, store."""

from __future__ import annotations

import os
import socket
import threading
import time
import traceback
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from volproc import retry
from volproc.credentials import masked
from volproc.engine.events import Watcher
from volproc.engine.memory import process_peak_bytes
from volproc.errors import StoppedError, VolprocError
from volproc.faults import WAY_OUT, fault_of
from volproc.grid.blocks import Block


class Written(Protocol):
    """Where the blocks of a step are stored."""

    def lost(self, blocks: Iterable[Block]) -> set[int]:
        """Indices of those `blocks` that are no longer there."""


class Task(Protocol):
    """What is done to one block. Frozen and small: it travels to the workers, arrays never do.

    Run twice it must write the same; it writes nothing outside its block's core.
    """

    def load(self, block: Block) -> Any:
        """Read what `compute` needs."""

    def compute(self, block: Block, loaded: Any) -> Any:
        """Work on it. Only one block of a process is here at a time: it owns the device."""
        return loaded

    def store(self, block: Block, result: Any) -> Any:
        """Write the core; return a small record that JSON can represent."""
        return result


@dataclass(frozen=True)
class Step:
    """A task over blocks, with its cost: all that a plan shows and an engine needs.

    `digest` names everything the result depends on; `peak_bytes` is for one block at a time,
    without the interpreter and libraries; `flop` counts a multiply-add as two.
    """

    name: str
    task: Task | None
    """None for work that no engine does, such as training: a plan shows it like the others."""
    blocks: Sequence[Block]
    digest: str
    peak_bytes: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    flop: int = 0
    notes: tuple[str, ...] = ()
    """One line each on what users should know before it runs."""
    on_gpu: bool = False
    """Whether `compute` works on a GPU."""
    precision: str = "float32"
    """Of its arithmetic: how fast it was in another says little."""
    alone: bool = False
    """Whether it is one block that takes all cores: of this machine, this process does it."""
    way_out: str = ""
    """What users may do where it needs too much memory, if that is not a smaller block."""
    waiting_bytes: int | None = None
    """Memory of a block while another one is computed: read, waiting, or being written. None: as
    much as at its peak."""

    recorded: int = 0
    """Blocks that an earlier run did, where a plan has looked (`volproc plan`)."""
    rate: float = 0.0
    """Voxels a second that the step's own records tell of, for steps without a log; 0: none."""
    reads: str = ""
    """The files of other programs that it reads: a damaged one may end the process."""
    writes: tuple[Written, ...] = ()
    """Where blocks are stored: one that is recorded but no longer there is done again."""

    def projected_bytes(self, blocks: int) -> int:
        """Projected memory of so many blocks in flight on one worker: one is computed at a time."""
        waiting = self.peak_bytes if self.waiting_bytes is None else self.waiting_bytes
        return max(self.peak_bytes, waiting) + (blocks - 1) * waiting


Blame = Literal["user", "transient", "bug", "worker", "time"]
"""Who can act on a failure: the user; nobody, but it may work later; volproc's authors; or whoever
looks after the machine of a worker that died. "time": it is none, the block stopped as the run's
time is over."""


@dataclass(frozen=True)
class Outcome:
    """What became of one block: a record, or the reason why there is none.

    `worker` is a process id on `host`; `trace` is the traceback of a bug.
    """

    block: Block
    record: Any = None
    failure: str | None = None
    blame: Blame = "user"
    trace: str = ""
    worker: int = 0
    host: str = ""
    peak_bytes: int = 0
    seconds: float = 0.0
    """How long it took its worker."""
    tries: int = 1
    """How often it was begun, on all workers together."""


@dataclass(frozen=True)
class Waiting:
    """No worker is there, and why."""

    why: str


Outcomes = Generator[Outcome | Waiting | None, None, None]
"""Outcomes as they come, None while there is none: another step may have a turn. When it is closed
early, blocks that still wait are dropped."""


class Engine(Protocol):
    """Runs a task over blocks and yields their outcomes in any order."""

    @property
    def worker_bytes(self) -> int:
        """Memory one worker may use."""

    @property
    def threads(self) -> int:
        """Blocks in flight on one worker."""

    def for_step(self, step: Step) -> Engine:
        """The engine for `step`: this one, unless it has several kinds of workers."""

    def expect(self, steps: Sequence[Step]) -> Watcher:
        """All steps of a run, in their order, are told once; what comes back follows the run, so
        that workers are there when a step needs them and go when none does."""

    def map(self, step: Step, blocks: Iterable[Block]) -> Outcomes:
        """One outcome per block of a step, as they come. The call starts the workers, iterating
        the work."""


BLOCK_PAUSES_S = (1.0, 5.0)
"""Between the three tries of a block, besides the retries of each read and write in it."""
_device = threading.RLock()  # a stored array may predict inside a block of its own


def do_block(task: Task, block: Block) -> Outcome:
    """Load, compute and store one block; never raises.

    Transient errors are tried again after a pause. A VolprocError is the same every time, and so is
    a bug.
    """
    patience = retry.Patience(BLOCK_PAUSES_S)
    while True:
        began = time.monotonic()
        try:
            record = done_once(task, block)
            seconds = time.monotonic() - began
            return _outcome(block, record=record, seconds=seconds, tries=patience.tries)
        except Exception as error:
            transient = fault_of(error) == "transient"
            pause = patience.pause() if transient else None
            if pause is None:
                tried = f" (block {patience})" if transient else ""
                return replace(failed(block, error, tried=tried), tries=patience.tries)
        retry.sleep(pause)


def failed(block: Block, error: Exception, *, doing: str = "", tried: str = "") -> Outcome:
    """The outcome of a block that ended with `error`, by who can act."""
    fault = fault_of(error)
    text = masked(" ".join(str(error).split()))  # CUDA's errors have many lines
    if not isinstance(error, VolprocError):
        way_out = f"; {WAY_OUT[fault]}" if fault else ""
        text = f"{type(error).__name__}: {text}{way_out}"
    if fault == "transient":
        return _outcome(block, failure=f"{doing}{text}{tried}", blame="transient")
    if isinstance(error, StoppedError):
        return _outcome(block, failure=text, blame="time")
    if fault or isinstance(error, VolprocError):
        return _outcome(block, failure=f"{doing}{text}", blame="user")
    trace = "".join(traceback.format_exception(error))
    return _outcome(block, failure=f"{doing}{text}", blame="bug", trace=trace)


def done_once(task: Task, block: Block) -> Any:
    """What `store` returns, done once. What one phase has made is let go with the next."""
    loaded = task.load(block)
    with _device:
        result = task.compute(block, loaded)
    del loaded  # its memory is free while the result is written
    return task.store(block, result)


def _outcome(block: Block, **what: Any) -> Outcome:
    return Outcome(
        block,
        worker=os.getpid(),
        host=socket.gethostname(),
        peak_bytes=process_peak_bytes(),
        **what,
    )
