"""What every step of a run took, watched while it runs."""

from __future__ import annotations

from typing import NamedTuple

import psutil

from volproc.engine.events import (
    Event,
    StepFinished,
    StepStarted,
)


class Took(NamedTuple):
    """Of one step; CPU seconds of this process and its workers, bytes of the largest worker."""

    step: str
    blocks: int
    voxels: int
    seconds: float
    cpu_s: float
    peak_bytes: int


class Clock:
    """Watches steps: a row for each that is done."""

    def __init__(self) -> None:
        self.rows: list[Took] = []
        self._before = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            self._before = cpu_seconds()
        elif isinstance(event, StepFinished):
            used = cpu_seconds() - self._before
            found = event.step, event.blocks, event.voxels, event.seconds, used, event.peak_bytes
            self.rows.append(Took(*found))


def cpu_seconds() -> float:
    """Of this process and those it started that still live."""
    me = psutil.Process()
    times = [one.cpu_times() for one in (me, *me.children(recursive=True))]
    return sum(one.user + one.system for one in times)
