"""How far a command is: a bar in a terminal, elsewhere a plain line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from volproc.engine.events import (
    Advanced,
    BlockDone,
    BlockFailed,
    Event,
    Note,
    ProgressMeter,
    StepFinished,
    StepStarted,
    Watcher,
)
from volproc.stages.webpage import rate
from volproc.terminal import TransferBar, duration

if TYPE_CHECKING:
    from volproc.stages.ingest.empiar.download import FetchProgress

FIRST_LINE_S, MAX_S = 1.0, 30.0
"""When a step's first line comes; every further one after twice the time, up to the longest."""

Clock = Callable[[], float]


@contextmanager
def progress() -> Iterator[Watcher]:
    """What shows events on standard error."""
    if not sys.stderr.isatty():
        yield ProgressLines(_write_line)
        return
    bar = TerminalBar()
    try:
        yield bar
    finally:
        bar.stop()


@contextmanager
def shown(wanted: bool, watchers: Sequence[Watcher]) -> Iterator[tuple[Watcher, ...]]:
    """Watchers for a Python caller: with one more that shows progress to a person who looks.

    In a terminal and a notebook somebody does; what a batch job writes is left to its author.
    """
    if not wanted or not (sys.stderr.isatty() or _in_notebook()):
        yield tuple(watchers)
        return
    with progress() as watch:
        yield (*watchers, watch)


def _in_notebook() -> bool:
    found = sys.modules.get("IPython")
    shell = found.get_ipython() if found else None
    return shell is not None and hasattr(shell, "kernel")


def _write_line(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@contextmanager
def transfer_progress() -> Iterator[Callable[[FetchProgress], None]]:
    """What shows how far a transfer is on standard error."""
    if sys.stderr.isatty():
        with TransferBar() as bar:
            yield bar
        return
    with progress() as watch, ProgressMeter("fetch, MB", (watch,)) as tell:
        yield lambda now: tell(
            now.bytes // 10**6,
            (now.bytes_total or 0) // 10**6,
            f"{now.files} of {now.files_total} files",
        )


@dataclass
class _Pace:
    """How far a step is, and how fast it goes in this run."""

    began: float
    first: int
    done: int
    total: int
    voxels: int = 0
    said: str = ""
    """What a step without blocks says of itself, or why no block is at work."""

    def hear(self, event: BlockDone | Advanced) -> None:
        self.done, self.total = event.done, event.total
        self.said = event.said if isinstance(event, Advanced) else ""
        if isinstance(event, BlockDone):
            self.voxels += event.voxels

    def rate(self, now: float) -> str:
        return self.said or rate(self.done - self.first, self.voxels, now - self.began)

    def left(self, now: float) -> str:
        """When it will be done, if the rest goes as fast."""
        done, remaining = self.done - self.first, self.total - self.done
        if done <= 0 or remaining <= 0:
            return ""
        return f"{duration((now - self.began) * remaining / done)} left"

    def line(self, now: float) -> str:
        count = f"{self.done:,}/{self.total:,}" if self.total else f"{self.done:,}"
        blocks = " blocks" if self.voxels else ""
        return ", ".join(part for part in (count + blocks, self.rate(now), self.left(now)) if part)


class ProgressLines:
    """A line when a step starts and ends, and between: less often the longer it takes."""

    def __init__(self, write: Callable[[str], None], clock: Clock = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._steps: dict[str, _Pace] = {}
        self._next, self._pause = 0.0, FIRST_LINE_S

    def __call__(self, event: Event) -> None:
        """Write a line if it is time for one."""
        now = self._clock()
        if isinstance(event, StepStarted):
            self._steps[event.step] = _Pace(now, event.done, event.done, event.total)
            self._pause, self._next = FIRST_LINE_S, now + FIRST_LINE_S
            if event.done < event.total or not event.total:
                self._tell(event.step, now)
        elif isinstance(event, BlockDone | Advanced):
            self._steps[event.step].hear(event)
            if now >= self._next:
                self._pause = min(MAX_S, 2 * self._pause)
                self._next = now + self._pause
                self._tell(event.step, now)
        elif isinstance(event, StepFinished):
            self._write(
                f"{event.step}: {self._steps[event.step].line(now)}, done in "
                f"{duration(event.seconds)}"
            )
        elif text := spoken(event):
            self._write(text)

    def _tell(self, step: str, now: float) -> None:
        self._write(f"{step}: {self._steps[step].line(now)}")


class TerminalBar:
    """One bar per step with blocks, what is done a second, and time left."""

    def __init__(self, console: Console | None = None, clock: Clock = time.monotonic) -> None:
        self._bars = Progress(
            TextColumn("{task.description:24}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>14}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
        )
        self._clock = clock
        self._steps: dict[str, tuple[TaskID, _Pace]] = {}

    def __call__(self, event: Event) -> None:
        """Show the event."""
        self._bars.start()  # with the first event, so that an early error stands alone
        if isinstance(event, StepStarted):
            bar = self._bars.add_task(event.step, total=event.total, completed=event.done, rate="")
            pace = _Pace(self._clock(), event.done, event.done, event.total)
            self._steps[event.step] = bar, pace
        elif isinstance(event, BlockDone | Advanced):
            bar, pace = self._steps[event.step]
            pace.hear(event)
            self._bars.update(
                bar, completed=pace.done, total=pace.total or None, rate=pace.rate(self._clock())
            )
        elif text := spoken(event):
            self._bars.console.print(text, markup=False)

    def stop(self) -> None:
        """Leave the bars as they are."""
        if self._bars.live.is_started:
            self._bars.stop()


def spoken(event: Event) -> str:
    """The line of an event that is told in words everywhere; "" for others."""
    if isinstance(event, Note):
        return event.text
    if isinstance(event, BlockFailed):
        return f"{event.step}: block {event.block} failed: {event.reason}"
    return ""
