"""Which jobs a run has in the queue, recorded beside its ledger, so that the next client ends them.

RUN/ledger/jobs.jsonl     one line per job, written before and after it is submitted
RUN/ledger/jobs/          the jobs' logs, and while they run the keys of their connections
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from volproc import lease
from volproc.engine.clusters.jobqueue.queues import SYSTEMS, QueueError, wait_until_gone
from volproc.engine.records import record_log
from volproc.errors import VolprocError

WORKERS, CLIENT = "jobs.jsonl", "client.jsonl"
GONE_WITHIN_S = 90.0
"""Jobs that were cancelled leave the queue by then: batch systems give processes 30 s to end."""

logger = logging.getLogger("volproc")


@dataclass(frozen=True)
class RecordedJobs:
    """Jobs of one name in a batch system; `ids` may lack one whose client died as it submitted."""

    system: str
    name: str
    ids: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What they are for: the pool at the end of their name."""
        return self.name.rpartition("-")[2]


class JobBook:
    """The record of the jobs of one output. Without a place it keeps nothing."""

    def __init__(self, root: str, name: str = WORKERS) -> None:
        self._log = record_log(f"{root}/{name}") if root else None

    def add(self, system: str, name: str, *ids: str) -> None:
        """Record that jobs of a name are about to be submitted, or the number of one."""
        if self._log:
            self._log.append(json.dumps(asdict(RecordedJobs(system, name, ids))))
            self._log.flush()

    def forget(self, name: str) -> None:
        """Jobs of this name are gone from the queue."""
        if not self._log:
            return
        left = [jobs for jobs in self.read() if jobs.name != name]
        self._log.forget()
        for jobs in left:
            self.add(jobs.system, jobs.name, *jobs.ids)

    def read(self) -> list[RecordedJobs]:
        """All jobs that may be in the queue, by name; nothing is changed."""
        found: dict[str, RecordedJobs] = {}
        for line in self._log.peek() if self._log else ():
            one = json.loads(line)
            before = found.get(one["name"], RecordedJobs(one["system"], one["name"]))
            ids = dict.fromkeys((*before.ids, *one["ids"]))
            found[one["name"]] = RecordedJobs(one["system"], one["name"], tuple(ids))
        return list(found.values())


def root_of_lease() -> str:
    """Where the output that this thread writes has its records; "" without one."""
    return next((one.root for one in lease.current()), "")


def log_folder(root: str, stated: str = "") -> Path:
    """Where jobs write their logs: nodes see no URL, so then it is here."""
    here = f"{root}/jobs" if root and "://" not in root else "volproc-jobs"
    return Path(stated or here).absolute()


def key_folder(logs: Path) -> Path:
    """Where the keys of the connections are: apart from what error lines quote."""
    return logs / "keys"


def end_left_jobs() -> None:
    """End what a client that died left in the queue for the outputs that this thread writes.

    VolprocError where its jobs do not go.
    """
    for held in lease.current():
        book = JobBook(held.root)
        for jobs in book.read():
            end_jobs(jobs)
            book.forget(jobs.name)
            logger.warning("%s of a client that died are ended", described(jobs))
            for key in key_folder(log_folder(held.root)).glob(f"{jobs.name}.*.pem"):
                key.unlink(missing_ok=True)


def end_jobs(jobs: RecordedJobs, *, within_s: float = GONE_WITHIN_S) -> None:
    """Cancel jobs and wait until the queue no longer has them; VolprocError if it keeps them."""
    system = SYSTEMS[jobs.system]
    try:
        ids = ids_in_queue(jobs)
        system.end(ids)
        gone = not ids or wait_until_gone(system, ids, name=jobs.name, within_s=within_s)
    except QueueError as error:
        raise VolprocError(
            f"{described(jobs)} may still be in the queue ({error}); run volproc where "
            f"{system.cancel} is, or end them by hand and remove the record jobs.jsonl"
        ) from error
    if not gone:
        raise VolprocError(
            f"{described(jobs)} do not leave the queue: end them with "
            f"`{system.cancel} {' '.join(ids)}`, then run the same command again"
        )


def ids_in_queue(jobs: RecordedJobs) -> Sequence[str]:
    """Numbers of those that have not ended; QueueError."""
    known = SYSTEMS[jobs.system].jobs(jobs.ids, name=jobs.name)
    by_name = "{name}" in SYSTEMS[jobs.system].listing
    mine = [job for job in known.values() if by_name or job.id in jobs.ids]
    return [job.id for job in mine if job.state != "ended"]


def described(jobs: RecordedJobs) -> str:
    """Jobs for people: their system, name and numbers."""
    numbers = f" ({', '.join(jobs.ids)})" if jobs.ids else ""
    return f"{SYSTEMS[jobs.system].title} jobs {jobs.name}{numbers}"


def state_lines(root: str) -> Iterator[str]:
    """What the queue says of each kind of job of a run, a line each."""
    for jobs in (*JobBook(root, CLIENT).read(), *JobBook(root).read()):
        yield f"{jobs.title}: {_counted(jobs)}"


def _counted(jobs: RecordedJobs) -> str:
    system = SYSTEMS[jobs.system]
    try:
        known = system.jobs(jobs.ids, name=jobs.name)
    except QueueError as error:
        was = "was" if len(jobs.ids) == 1 else "were"
        return f"{counted(len(jobs.ids))} {was} submitted; {error}"
    mine = [job for job in known.values() if job.id in jobs.ids and job.state != "ended"]
    parts = []
    for state in ("runs", "waits", "ends"):
        some = [job for job in mine if job.state == state]
        reasons = ", ".join(sorted({job.reason for job in some if job.reason}))
        if some:
            why = f" ({reasons})" if reasons and state == "waits" else ""
            parts.append(f"{counted(len(some))} {verb(state, len(some))}{why}")
    return "; ".join(parts) or "no job is in the queue"


def counted(number: int) -> str:
    """So many jobs, in words."""
    return f"{number} job" if number == 1 else f"{number} jobs"


def verb(state: str, number: int) -> str:
    """What so many jobs do: 1 job waits, 2 jobs wait."""
    return state if number == 1 else state.removesuffix("s")
