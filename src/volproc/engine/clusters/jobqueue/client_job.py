"""The client itself as a job: submitted, and ended from any shell with all that it has started."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import time
from collections.abc import Iterator, Sequence
from uuid import uuid4

from volproc.config.cluster import ClusterOptions
from volproc.engine.clusters.jobqueue.job_records import (
    CLIENT,
    JobBook,
    described,
    end_jobs,
    ids_in_queue,
    log_folder,
)
from volproc.engine.clusters.jobqueue.job_scripts import library, pool_script
from volproc.engine.clusters.jobqueue.queues import SYSTEMS
from volproc.engine.clusters.jobqueue.sent_job import refusal
from volproc.errors import VolprocError
from volproc.lease.lease_file import newest
from volproc.lease.owner import Owner, machine, parsed, started

ENDS_WITHIN_S = 60.0


def submit(options: ClusterOptions, root: str, arguments: Sequence[str]) -> str:
    """Submit a job that runs `volproc ARGUMENTS`; its number.

    VolprocError where one is in the queue already, or the queue refuses.
    """
    library()
    system = SYSTEMS[options.system]
    system.require("[cluster] system")
    book = JobBook(root, CLIENT)
    for jobs in book.read():
        if ids_in_queue(jobs):
            raise VolprocError(
                f"{described(jobs)} works on this run already; see `volproc status`, or end it "
                "with `volproc cancel`"
            )
        book.forget(jobs.name)
    stated = options.client.log_directory
    script = pool_script(options, "client", uuid4().hex[:6], log_folder(root, stated))
    command = shlex.join([script.python, "-m", "volproc", *arguments])
    job = script.of_command(command, folder=os.getcwd())
    book.add(options.system, script.name)
    try:
        asyncio.run(job.start())
    except RuntimeError as error:
        book.forget(script.name)
        raise VolprocError(refusal(system.submit, script.table, error)) from error
    book.add(options.system, script.name, job.job_id)
    return str(job.job_id)


def cancel(root: str) -> Iterator[str]:
    """End the client of a run, wherever it can be reached, then its jobs; says so line by line.

    VolprocError where the client runs on another machine, in no job.
    """
    book = JobBook(root, CLIENT)
    for jobs in book.read():
        there = ids_in_queue(jobs)
        end_jobs(jobs)
        book.forget(jobs.name)
        if there:
            yield f"client: {described(jobs)} is ended"
    owner = _living_owner(root)
    if owner:
        _end(owner)
        yield f"client: process {owner.pid} is ended"
    workers = JobBook(root)
    for jobs in workers.read():
        end_jobs(jobs)
        workers.forget(jobs.name)
        yield f"{jobs.title}: {described(jobs)} are ended"


def _living_owner(root: str) -> Owner | None:
    owner = parsed(newest(root)[1])
    if owner is None or owner.state != "held":
        return None
    if owner.machine != machine():
        if owner.job:
            return None  # its job is ended by now
        raise VolprocError(
            f"{owner.described()} writes this run; end it there, or run this command on "
            f"{owner.host}"
        )
    return owner if started(owner.pid) == owner.started else None


def _end(owner: Owner) -> None:
    """Ask a process of this machine to end, and wait for it."""
    os.kill(owner.pid, signal.SIGTERM)
    end = time.monotonic() + ENDS_WITHIN_S
    while started(owner.pid) == owner.started:
        if time.monotonic() > end:
            raise VolprocError(f"{owner.described()} does not end; kill it by hand")
        time.sleep(0.2)
