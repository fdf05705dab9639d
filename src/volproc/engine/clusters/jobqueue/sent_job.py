"""A job that was submitted, and the words about it."""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from volproc.engine.clusters.jobqueue.queues import QueuedJob

KEEP_EVERY_S = 30.0
"""How often the queue is asked: sites do not like it more often."""
LOG_LINES, LOG_CHARACTERS = 20, 600


@dataclass
class SentJob:
    """A job that was submitted: since when, whether a worker of it was ever there, and what the
    queue said when it was asked."""

    id: str
    name: str
    number: int
    sent: float = field(default_factory=time.monotonic)
    served: bool = False
    runs_since: float | None = None
    queued: QueuedJob | None = None
    looked: float = 0.0

    @property
    def state(self) -> str:
        """In the queue's words for all systems; new jobs wait."""
        return self.queued.state if self.queued else "waits"

    def heard(self, queued: QueuedJob | None, now: float) -> None:
        """Note what the queue says; None where it no longer knows the job."""
        self.queued = queued or QueuedJob(self.id, "ended", "gone from the queue")
        self.looked = now
        if self.state == "runs" and self.runs_since is None:
            self.runs_since = now

    def seconds_left(self, walltime_s: float | None) -> float | None:
        """Until it is ended; None where nobody knows, or it does not run yet."""
        if self.state != "runs" or self.queued is None or self.runs_since is None:
            return None
        if self.queued.seconds_left is not None:
            return self.queued.seconds_left - (time.monotonic() - self.looked)
        if walltime_s is None:
            return None
        # the queue was not asked in the very moment in which it began
        return walltime_s - (time.monotonic() - self.runs_since) - KEEP_EVERY_S


def refusal(command: str, table: str, error: RuntimeError) -> str:
    """What `sbatch` and its like said when they refused a job, in a line."""
    said = str(error).partition("stderr:")[2] or str(error)
    line = " ".join(said.split())
    return f"{command} refuses the job of {table}: {line}; change its queue, account or resources"


def last_lines(folder: Path, id: str) -> str:
    """The end of a job's log, in one line."""
    # a number may also stand in the run's token, or in a longer number
    of_job = re.compile(rf"(?<![0-9a-f]){re.escape(id)}(?!\d)")
    logs = [file for file in folder.iterdir() if file.is_file() and of_job.search(file.name)]
    ordered = sorted(logs, key=lambda file: file.stat().st_mtime)
    lines = [line.strip() for file in ordered for line in _lines(file) if line.strip()]
    text = " / ".join(lines[-LOG_LINES:])
    return text[-LOG_CHARACTERS:] or "nothing"


def _lines(file: Path) -> list[str]:
    with suppress(OSError):
        return file.read_text(errors="replace").splitlines()
    return []


def belongs(worker: Any, jobs: Collection[str]) -> bool:
    """Whether a worker belongs to one of the jobs: JOB, or JOB-0 where it has several."""
    return any(str(worker) == job or str(worker).rpartition("-")[0] == job for job in jobs)


def in_words(seconds: float) -> str:
    """A time in seconds or minutes."""
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"
