"""Batch systems: how each is asked for its jobs, and what it says of them. No Dask in here."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from volproc.errors import ConfigError, VolprocError

State = Literal["waits", "runs", "ends", "ended"]
COMMAND_WITHIN_S = 60.0
"""A queue that does not answer for so long is asked again later."""
NO_REASON = ("None", "undefined", "-")
GONE = re.compile("unknown|not found|not exist|finished|no matching|invalid job", re.IGNORECASE)
"""What `qstat 12` says on stderr of a job that has left the queue: that is no failure."""


class QueueError(VolprocError):
    """The queue does not answer, or refuses."""


@dataclass(frozen=True)
class QueuedJob:
    """A job as its queue sees it: `word` in the system's own words, `reason` why it waits."""

    id: str
    state: State
    word: str
    reason: str = ""
    seconds_left: float | None = None
    """Until its walltime, where the queue says so."""


@dataclass(frozen=True)
class BatchSystem:
    """The commands of a system. In `listing` stand {ids} or {name} for the jobs asked for."""

    title: str
    submit: str
    cancel: str
    listing: tuple[str, ...]
    line: str
    """Of `listing`: a regular expression with the groups id, word, reason and left."""
    waits: frozenset[str]
    runs: frozenset[str]
    ends: frozenset[str] = frozenset()
    """Its processes may still be there."""

    def jobs(self, ids: Collection[str], *, name: str) -> dict[str, QueuedJob]:
        """Jobs of this name, or with these ids, that the queue still knows; QueueError."""
        filled = [part for word in self.listing for part in _filled(word, ids, name)]
        return {job.id: job for job in self.read(asked(filled))}

    def read(self, listing: str) -> Iterator[QueuedJob]:
        """The jobs in what the listing command has printed."""
        for line in listing.splitlines():
            if found := re.match(self.line, line.strip()):
                said = {name: (text or "").strip() for name, text in found.groupdict().items()}
                yield QueuedJob(
                    said["id"],
                    self._state(said["word"]),
                    said["word"],
                    "" if said.get("reason") in NO_REASON else said.get("reason", ""),
                    seconds(said.get("left", "")),
                )

    def _state(self, word: str) -> State:
        if word in self.waits:
            return "waits"
        if word in self.runs:
            return "runs"
        return "ends" if word in self.ends else "ended"

    def end(self, ids: Iterable[str]) -> None:
        """Cancel jobs; those that are gone do not matter."""
        for some in _hundreds(list(ids)):
            run([self.cancel, *some])

    def require(self, option: str) -> None:
        """ConfigError where this machine cannot submit."""
        if not shutil.which(self.submit):
            raise ConfigError(
                f"{self.submit} is not found here, which submits jobs to {self.title}; run volproc "
                f"on a machine that has it, or choose another {option}"
            )


def _filled(word: str, ids: Collection[str], name: str) -> Sequence[str]:
    if word == "{ids}":
        return list(ids)
    return [word.replace("{name}", name).replace("{,ids}", ",".join(ids))]


def _hundreds(ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), 100):
        yield ids[start : start + 100]


def words(*lists: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(" ".join(lists).split())


SYSTEMS = {
    "slurm": BatchSystem(
        "SLURM",
        "sbatch",
        "scancel",
        ("squeue", "-h", "-t", "all", "-o", "%i|%T|%r|%L", "-n", "{name}"),
        r"(?P<id>\d+)\|(?P<word>\w+)\|(?P<reason>[^|]*)\|(?P<left>.*)",
        waits=words("PENDING CONFIGURING REQUEUED REQUEUE_FED REQUEUE_HOLD SPECIAL_EXIT"),
        runs=words("RUNNING SUSPENDED STOPPED SIGNALING STAGE_OUT RESIZING"),
        ends=words("COMPLETING"),
    ),
    "pbs": BatchSystem(
        "PBS",
        "qsub",
        "qdel",
        ("qstat", "{ids}"),
        r"(?P<id>\d+)\S*\s.*\s(?P<word>[A-Z])\s+\S+$",
        waits=words("Q H W T"),
        runs=words("R S B U"),
        ends=words("E"),
    ),
    "lsf": BatchSystem(
        "LSF",
        "bsub",
        "bkill",
        ("bjobs", "-a", "-noheader", "-o", "jobid stat", "{ids}"),
        r"(?P<id>\d+)\s+(?P<word>\w+)",
        waits=words("PEND PSUSP WAIT"),
        runs=words("RUN USUSP SSUSP PROV UNKWN"),
    ),
    "sge": BatchSystem(
        "Grid Engine",
        "qsub",
        "qdel",
        ("qstat",),
        r"(?P<id>\d+)\s+\S+\s+\S+\s+\S+\s+(?P<word>\w+)\s",
        waits=words("qw hqw Eqw hRwq Rq"),
        runs=words("r t Rr Rt s S T hr ht"),
        ends=words("dr dt dRr ds dS"),
    ),
    "htcondor": BatchSystem(
        "HTCondor",
        "condor_submit",
        "condor_rm",
        ("condor_q", "-af:j", "JobStatus", "HoldReason"),
        r"(?P<id>\d+\.\d+) (?P<word>\d)\s?(?P<reason>.*)",
        waits=words("1 5"),
        runs=words("2 6 7"),
    ),
    "oar": BatchSystem(
        "OAR",
        "oarsub",
        "oardel",
        ("oarstat", "-s", "-j", "{,ids}"),
        r"(?P<id>\d+)\s*:\s*(?P<word>\w+)",
        waits=words("Waiting Hold toLaunch Launching toAckReservation"),
        runs=words("Running Suspended Resuming"),
        ends=words("Finishing"),
    ),
}
"""The batch systems, by [cluster] system."""


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """A command of the queue, whatever becomes of it; QueueError if there is none or it hangs."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QueueError(f"{command[0]} does not answer: {error}") from error


def asked(command: Sequence[str]) -> str:
    """What a command prints; QueueError if it fails for another reason than a job that is gone."""
    done = run(command)
    if done.returncode and not GONE.search(done.stderr):
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise QueueError(f"{command[0]} fails: {said}")
    return done.stdout


def seconds(walltime: str) -> float | None:
    """A walltime in seconds; None for what is no time, such as UNLIMITED.

    >>> seconds("1-02:00:00"), seconds("04:00:00"), seconds("10:30"), seconds("UNLIMITED")
    (93600.0, 14400.0, 630.0, None)
    """
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", walltime)
    if not found:
        return None
    days, hours, minutes, left = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + left


def wait_until_gone(
    system: BatchSystem, ids: Collection[str], *, name: str, within_s: float
) -> bool:
    """Whether all jobs have left the queue before the time is over."""
    end = time.monotonic() + within_s
    while any(job.state != "ended" for job in _known(system, ids, name)):
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return True


def _known(system: BatchSystem, ids: Collection[str], name: str) -> list[QueuedJob]:
    found = system.jobs(ids, name=name)
    return [job for job in found.values() if job.id in ids or "{name}" in system.listing]


def accounting(system: BatchSystem, id: str) -> str:
    """What accounting says of a job that has ended, in the system's words; "" if nothing."""
    if system.title != "SLURM":
        return ""
    try:
        listed = asked(["sacct", "-n", "-P", "-j", id, "-o", "State,ExitCode,MaxRSS"])
        rows = [line.split("|") for line in listed.splitlines()]
        if rows:
            largest = max((row[2] for row in rows), key=lambda text: (len(text), text))
            more = f", MaxRSS {largest}" if largest else ""
            return f"State {rows[0][0]}, ExitCode {rows[0][1]}{more}"
    except (QueueError, IndexError):
        pass  # many sites keep no accounts
    return _of_controller(id)


def _of_controller(id: str) -> str:
    try:
        shown = asked(["scontrol", "show", "job", "-o", id])
    except QueueError:
        return ""
    found = dict(part.split("=", 1) for part in shown.split() if "=" in part)
    names = {"JobState": "State", "Reason": "Reason", "ExitCode": "ExitCode", "NodeList": "node"}
    return ", ".join(f"{name} {found[key]}" for key, name in names.items() if found.get(key))
