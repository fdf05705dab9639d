"""The owner in a lease: this process, or another one, and whether that is still alive."""

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

from volproc.faults import MALFORMED

JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")
"""Where batch systems state the number of the job."""

State = Literal["held", "released", "died"]


@dataclass(frozen=True)
class Owner:
    """The content of a lease file: its owner, and its state.

    "held" until the owner releases it, then "released". If the owner died, others change it to
    "died", so that its partial files are known to be there.
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
        """The owner for people: what runs, where, for whom, since when."""
        job = f"job {self.job}, " if self.job else ""
        user = f" of {self.user}" if self.user else ""
        since, heard = map(_date, (self.since, self.heard))
        return (
            f"`{self.what}` on {self.host} ({job}process {self.pid}{user}), at work since {since}, "
            f"last heard of {heard}"
        )


def _date(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def parsed(text: bytes) -> Owner | None:
    """The owner in a lease file; None for a file that is cut short or no lease."""
    try:
        found: dict[str, Any] = json.loads(text)
        owner = Owner(**{one.name: found[one.name] for one in fields(Owner)})
        owner.described()
        return owner if isinstance(owner.pid, int) else None
    except (*MALFORMED, OSError):  # dates before or after all calendars are an OSError
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
    """A name for the scope of process ids: a boot of a kernel, and a container.

    Empty where the system does not provide it (Linux does).
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def started(pid: int) -> str:
    """When a process of this machine started, in ticks of its clock; empty if it is not alive.

    Process ids are reused; id and start time together are not. A process that ended and waits for
    its parent (a zombie) is not alive.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if stat[0] in "ZX" else stat[19]


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
