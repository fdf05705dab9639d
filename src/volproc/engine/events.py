"""What happens during a run, as events; and a watcher: a log of JSON lines."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from volproc.credentials import masked
from volproc.engine.records import record_log


@dataclass(frozen=True)
class StepStarted:
    """A step begins; `done` of its `total` blocks were recorded by an earlier run.

    `promised_bytes` is the most that a worker should need of the `worker_bytes` that it has; 0 of
    steps without blocks.
    """

    step: str
    done: int
    total: int
    on_gpu: bool = False
    promised_bytes: int = 0
    worker_bytes: int = 0
    precision: str = "float32"


@dataclass(frozen=True)
class BlockDone:
    """A block is written and recorded: `peak_bytes` is the peak memory of its worker, `seconds` how
    long it had the block in hand, `tries` how often it was begun."""

    step: str
    block: int
    done: int
    total: int
    voxels: int
    worker: int
    peak_bytes: int
    host: str = ""
    seconds: float = 0.0
    tries: int = 1


@dataclass(frozen=True)
class Advanced:
    """A step without blocks is `done` of `total` (0: unknown); `said` are more words on it.

    Class names of events are in log.jsonl, so they stay.
    """

    step: str
    done: int
    total: int
    said: str = ""


@dataclass(frozen=True)
class BlockFailed:
    """A block has failed for good. `trace` is the traceback of a bug, of the first block it hit."""

    step: str
    block: int
    reason: str
    worker: int = 0
    host: str = ""
    trace: str = ""


@dataclass(frozen=True)
class Crashed:
    """A bug has ended a run."""

    reason: str
    trace: str


@dataclass(frozen=True)
class StepFinished:
    """All blocks of a step are done. `voxels` counts those of this run only."""

    step: str
    blocks: int
    voxels: int
    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Note:
    """Something that users should know, in a line."""

    text: str


Event = Note | StepStarted | BlockDone | Advanced | BlockFailed | Crashed | StepFinished
Watcher = Callable[[Event], None]


def nobody(event: Event) -> None:
    """A watcher that does not look."""


REPORT_EVERY_S = 0.5


class JsonLines:
    """Appends every event to a log: one JSON object per line, with its kind and Unix time."""

    def __init__(self, url: str | Path) -> None:
        self._lines = record_log(url)

    def __call__(self, event: Event) -> None:
        """Append the event."""
        told = {key: masked(v) if isinstance(v, str) else v for key, v in asdict(event).items()}
        line = {"event": type(event).__name__, "time": round(time.time(), 3), **told}
        self._lines.append(json.dumps(line))
        if isinstance(event, StepFinished | BlockFailed | Crashed | Note):
            self._lines.flush()


class ProgressMeter:
    """Reports a step without blocks to the watchers: begun, how far it is, finished.

    A context manager, called with how far the step is. `voxels` are those of each unit counted.
    """

    def __init__(self, step: str, watchers: Sequence[Watcher], *, voxels: int = 0) -> None:
        self.step, self._watchers, self._voxels = step, watchers, voxels
        self._began: float | None = None
        self._first = self._last = 0
        self._reported = 0.0

    def __call__(self, done: int, total: int, said: str = "") -> None:
        """Report to the watchers, at most twice a second, and when all is done."""
        now = time.monotonic()
        if self._began is None:
            self._began, self._first = now, done
            self._tell(StepStarted(self.step, 0, total))
        self._last = done
        if now - self._reported >= REPORT_EVERY_S or done == total:
            self._reported = now
            self._tell(Advanced(self.step, done, total, said))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self._began is not None:
            seconds = round(time.monotonic() - self._began, 3)
            voxels = self._voxels * (self._last - self._first)
            self._tell(StepFinished(self.step, 0, voxels, seconds, 0))

    def _tell(self, event: Event) -> None:
        for watch in self._watchers:
            watch(event)
