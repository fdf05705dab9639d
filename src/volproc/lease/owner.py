"""Who this process is, and whether a process that wrote its name down still lives."""

from __future__ import annotations

import getpass
import json
import os
import socket
import sys
import time
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")
"""Where batch systems tell a process the number of its job."""

State = Literal["held", "released", "died"]


@dataclass(frozen=True)
class Owner:
    """What a lease's file says: whose it is, and what became of it.

    "held" until its owner gives it back, "released" then. "died" is what others write over a lease
    whose owner never did, so that what it left is known to lie about still.
    """

    owner: str
    what: str
    host: str
    machine: str
    pid: int
    started: str
    job: str
    user: str
    since: float
    heard: float
    beats: int = 0
    state: State = "held"

    def text(self) -> bytes:
        """The content of the file."""
        return json.dumps(asdict(self), indent=1).encode()

    def described(self) -> str:
        """Who it is, for people: what runs, where, for whom, since when."""
        job = f"job {self.job}, " if self.job else ""
        user = f" of {self.user}" if self.user else ""
        since, heard = (
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
            for at in (self.since, self.heard)
        )
        return (
            f"`{self.what}` on {self.host} ({job}process {self.pid}{user}), at work since {since}, "
            f"last heard of {heard}"
        )


def _date(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def parsed(text: bytes) -> Owner | None:
    """What a lease's file says; None for one that was cut short, or is not a lease's."""
    try:
        found: dict[str, Any] = json.loads(text)
        return Owner(**{one.name: found[one.name] for one in fields(Owner)})
    except (ValueError, KeyError, TypeError):
        return None


def this_process(owner: str) -> Owner:
    """This process, as the owner of that name."""
    now = time.time()
    return Owner(
        owner=owner,
        what=_program(),
        host=socket.gethostname(),
        machine=machine(),
        pid=os.getpid(),
        started=started(os.getpid()),
        job=next((os.environ[name] for name in JOBS if os.environ.get(name)), ""),
        user=_user(),
        since=now,
        heard=now,
    )


@cache
def machine() -> str:
    """Names the place where process numbers mean the same: a boot of a kernel, and a container.

    Empty where the system does not tell (it is Linux that does).
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def started(pid: int) -> str:
    """When a process of this machine started, in ticks of its clock; empty if it does not live.

    A number is given to another process in time; number and start together are not. A process that
    ended and waits for its parent to ask (a zombie) does not live.
    """
    try:
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if told[0] in "ZX" else told[19]


def _program() -> str:
    """`volproc predict`, or the script that calls volproc."""
    script, *words = sys.argv or [""]
    path = Path(script)
    if path.name == "volproc" or path.parts[-2:] == ("volproc", "__main__.py"):
        return " ".join(["volproc", *words[:1]])
    return f"python {path.name}".strip()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return ""
