"""What a command costs with all the processes it starts: seconds, memory, and the disk it fills.

CPU seconds are those of every process below the command, dead ones too: this process takes in
orphans (Linux) and counts what it has waited for. Memory is sampled: the sum of the processes'
proportional shares (PSS), so that pages they share count once.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_S = 0.2
SAMPLE_SHARE = 0.02
"""Of the time, that sampling takes at the most: to add up a process of some GB takes 50 ms, in
which it gets no memory; sampled five times a second, two workers lost a sixth of their time."""
FAREWELL_S = 10
"""How long processes that outlive the command may take to end."""
_PR_SET_CHILD_SUBREAPER = 36


@dataclass
class Cost:
    """Of a command, or the sum of several."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0
    """Of all processes at once, PSS."""
    peak_private_bytes: int = 0
    """The same without pages of mapped files, which the system may drop at any time."""
    largest_bytes: int = 0
    """The most that any one process ever held, RSS."""
    processes: int = 0
    code: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.wall_s + other.wall_s,
            self.cpu_s + other.cpu_s,
            max(self.peak_bytes, other.peak_bytes),
            max(self.peak_private_bytes, other.peak_private_bytes),
            max(self.largest_bytes, other.largest_bytes),
            self.processes + other.processes,
            other.code,
        )


def measured(
    command: Sequence[str], *, log: Path, enough: Callable[[], bool] = lambda: False
) -> Cost:
    """Run `command` to its end, or kill it and its children at once (SIGKILL) when `enough` says.

    Its output is added to the file `log`.
    """
    _adopt_orphans()
    cost, seen = Cost(), set[int]()
    began, before = time.monotonic(), _cpu_of_ended()
    with log.open("a") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        due = began
        while not _ended(process):
            if (now := time.monotonic()) >= due:
                _sample(cost, seen)
                took = time.monotonic() - now
                due = now + max(SAMPLE_S, took / SAMPLE_SHARE)
            if enough():
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(SAMPLE_S / 4)
    cost.wall_s = time.monotonic() - began
    cost.code, cost.processes = process.wait(), len(seen)
    _wait_for_orphans()
    cost.cpu_s = _cpu_of_ended() - before
    return cost


def disk(*folders: Path) -> tuple[int, int, int]:
    """Bytes that files say, bytes that they take, and how many files there are below `folders`."""
    found = [path.lstat() for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sum(f.st_size for f in found), sum(f.st_blocks * 512 for f in found), len(found)


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended, without taking its times yet."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _sample(cost: Cost, seen: set[int]) -> None:
    whole = private = 0
    for one in psutil.Process().children(recursive=True):
        with suppress(OSError, KeyError):  # it may have ended meanwhile
            shares = _kilobytes(Path(f"/proc/{one.pid}/smaps_rollup"))
            whole += shares["Pss"]
            private += shares.get("Pss_Anon", 0) + shares.get("Pss_Shmem", 0)
            most = _kilobytes(Path(f"/proc/{one.pid}/status"))["VmHWM"]
            cost.largest_bytes = max(cost.largest_bytes, most)
            seen.add(one.pid)
    cost.peak_bytes = max(cost.peak_bytes, whole)
    cost.peak_private_bytes = max(cost.peak_private_bytes, private)


def _kilobytes(path: Path) -> dict[str, int]:
    """The bytes that a file of /proc states as kB, by name."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {w[0].rstrip(":"): int(w[1]) * 1024 for w in lines if len(w) == 3 and w[2] == "kB"}


def _adopt_orphans() -> None:
    """Children of a process that was killed become this one's, so that their times are counted."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _wait_for_orphans() -> None:
    until = time.monotonic() + FAREWELL_S
    with suppress(ChildProcessError):
        while True:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.05)
            for one in psutil.Process().children() if time.monotonic() > until else ():
                one.kill()


def _cpu_of_ended() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
