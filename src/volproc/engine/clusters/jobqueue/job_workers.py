"""The workers of one pool of jobs, and the keeper: jobs that are lost are replaced.

Dask's own cluster objects do not replace a job that died before its worker connected. So the
cluster here is a scheduler only, and the keeper, a thread, looks every 30 s:

    queue ──jobs of this name──▶ gone or failed? submit another one, unless they keep dying
    scheduler ──workers──▶       which jobs have served?
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import suppress

from distributed import Client, Security, SpecCluster

from volproc.engine.clusters.jobqueue import sent_job
from volproc.engine.clusters.jobqueue.job_records import (
    GONE_WITHIN_S,
    JobBook,
    RecordedJobs,
    counted,
    end_jobs,
    verb,
)
from volproc.engine.clusters.jobqueue.job_scripts import Script
from volproc.engine.clusters.jobqueue.queues import SYSTEMS, QueueError, accounting
from volproc.engine.clusters.jobqueue.sent_job import (
    SentJob,
    belongs,
    in_words,
    last_lines,
    refusal,
)
from volproc.errors import VolprocError
from volproc.lease import current, under

FIRST_LOOKS_S = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Pauses after jobs were submitted: why one waits, or that it died at once, is known soon."""
MAX_DEATHS = 3
"""So many jobs in a row that end before they served, and no worker there: no more are sent."""
BLOCK_TIMES = 2.0
"""A worker gets no more blocks when its walltime is nearer than so many block times."""
HURRIED_S = 5.0
"""When somebody interrupts, jobs that were cancelled are waited for so long only."""

logger = logging.getLogger("volproc")


class JobWorkers:
    """The workers in the jobs of one pool; `client` is that of their own scheduler."""

    def __init__(
        self,
        script: Script,
        *,
        cluster: SpecCluster,
        keys: Security,
        book: JobBook,
        threads: int,
        jobs: int | None = None,
    ) -> None:
        """`cluster` is a scheduler, which is closed with them; `keys` are files that nodes see.

        VolprocError where no job is accepted.
        """
        self.script, self.system = script, SYSTEMS[script.system]
        self._threads, self._keys, self._book = threads, keys, book
        self._wanted = jobs or script.options.jobs
        self._jobs: list[SentJob] = []
        self._numbers, self._deaths = 0, 0
        self._last_death: tuple[str, str] = ("", "")
        self._gave_up = self._refused = ""
        self._block_seconds = 0.0
        self._hurried = False
        self._changing, self._stop = threading.RLock(), threading.Event()
        self.cluster = cluster
        self.client = Client(self.cluster, set_as_default=False)
        self._keeper = threading.Thread(target=self._keep, name=f"volproc-{script.name}")
        try:
            self._book.add(script.system, script.name)
            self._fill()
            if not self._jobs:
                raise VolprocError(self._refused)
            self._leases = current()
            self._keeper.start()
        except BaseException:
            self.close()
            raise

    @property
    def pool(self) -> str:
        """The pool's name, for people."""
        return self.script.name.rpartition("-")[2]

    def waiting_for(self) -> str:
        """How many jobs wait, why and since when; VolprocError if they keep dying."""
        if self._gave_up:
            raise VolprocError(self._gave_up)
        with self._changing:
            parts = list(self._described())
        return "; ".join(parts) or self._refused or f"another job of {self.pool} is asked for"

    def _described(self) -> Iterator[str]:
        now = time.monotonic()
        for state in ("waits", "runs"):
            some = [job for job in self._jobs if job.state == state and not job.served]
            if not some:
                continue
            reasons = sorted({job.queued.reason for job in some if job.queued} - {""})
            since = in_words(now - min(job.sent for job in some))
            told = f"{counted(len(some))} of {self.pool} {verb(state, len(some))}"
            if state == "runs":
                yield f"{told}, no worker has connected yet, {since}; logs: {self.script.logs}"
            else:
                yield f"{told}: {', '.join(reasons) or 'in the queue'}, {since}"

    def leaving(self, block_seconds: float) -> Collection[str]:
        """Workers whose walltime is nearer than two block times.

        VolprocError where no job is long enough for three blocks.
        """
        self._block_seconds = block_seconds
        walltime = self.script.walltime_s
        if walltime and walltime < 3 * block_seconds:
            raise VolprocError(
                f"a block takes {block_seconds:.0f} s, which is more than a third of "
                f"{self.script.table} walltime ({self.script.options.walltime or 'of the site'}); "
                "ask for more time, or make blocks smaller"
            )
        with self._changing:
            near = {job.name for job in self._jobs if self._is_leaving(job)}
        there = self.client.scheduler_info(n_workers=-1)["workers"] if near else {}
        return [address for address, worker in there.items() if belongs(worker["name"], near)]

    def seconds_left(self) -> float | None:
        """Until the first of the jobs reaches its walltime, where that is known."""
        left = [job.seconds_left(self.script.walltime_s) for job in self._jobs]
        return min((one for one in left if one is not None), default=None)

    def _is_leaving(self, job: SentJob) -> bool:
        left = job.seconds_left(self.script.walltime_s)
        return left is not None and left < BLOCK_TIMES * self._block_seconds

    def kill(self) -> None:
        """Cancel all jobs, and do not wait for them as long as usual."""
        self._hurried = True
        self._stop.set()
        with suppress(QueueError):
            self.system.end([job.id for job in self._jobs])

    def close(self) -> None:
        """Cancel the jobs, wait until the queue no longer has them, and end the scheduler."""
        self._stop.set()
        if self._keeper.is_alive():
            self._keeper.join()
        try:
            ids = tuple(job.id for job in self._jobs)
            mine = RecordedJobs(self.script.system, self.script.name, ids)
            within = HURRIED_S if self._hurried else GONE_WITHIN_S
            end_jobs(mine, within_s=within)
            self._book.forget(self.script.name)
        except VolprocError as error:
            logger.warning("%s", error)  # they are recorded: the next run ends them
        finally:
            self.client.close()
            self.cluster.close()

    def _keep(self) -> None:
        looks = 0
        with under(self._leases):
            while not self._stop.wait(self._pause(looks)):
                looks += 1
                try:
                    if self.look():
                        looks = 0
                except Exception as error:  # the queue is asked again
                    logger.info("%s", error)

    def _pause(self, looks: int) -> float:
        soon = FIRST_LOOKS_S[looks : looks + 1] or (sent_job.KEEP_EVERY_S,)
        return min(soon[0], sent_job.KEEP_EVERY_S)

    def look(self) -> bool:
        """Ask queue and scheduler once, and replace what is lost; whether jobs were sent."""
        known = self.system.jobs([job.id for job in self._jobs], name=self.script.name)
        there = {
            worker["name"]
            for worker in self.client.scheduler_info(n_workers=-1)["workers"].values()
        }
        now = time.monotonic()
        with self._changing:
            for job in self._jobs:
                job.heard(known.get(job.id), now)
                job.served = job.served or any(belongs(name, {job.name}) for name in there)
            self._end_idle()
            for job in [job for job in self._jobs if job.state in ("ended", "ends")]:
                self._bury(job)
            if len(self._jobs) >= self._wanted:
                return False
            if self._deaths >= MAX_DEATHS * self._wanted and not there:
                self._gave_up = self._gave_up or self._verdict()
                return False
        return self._fill()

    def _end_idle(self) -> None:
        """End jobs too near their walltime for another block, so that others come in time."""
        near = [job for job in self._jobs if self._is_leaving(job)]
        if not near:
            return
        busy = {
            worker["name"]
            for address, worker in self.client.scheduler_info(n_workers=-1)["workers"].items()
            if self.client.processing().get(address)
        }
        for job in near:
            if not any(belongs(name, {job.name}) for name in busy):
                self.system.end([job.id])
                self._jobs.remove(job)

    def _bury(self, job: SentJob) -> None:
        """Note that a job has ended, and how."""
        self._jobs.remove(job)
        word = job.queued.word if job.queued else ""
        if job.served:
            self._deaths = 0
            logger.warning("job %s of %s ended (%s); another one is sent", job.id, self.pool, word)
        else:
            self._deaths += 1
            self._last_death = job.id, word

    def _verdict(self) -> str:
        """Why no more jobs are sent: what accounting and the log say of the last one."""
        id, word = self._last_death
        told = accounting(self.system, id) or word
        log = last_lines(self.script.logs, id)
        return (
            f"{self._deaths} jobs of {self.pool} ended before their worker connected; the last "
            f"one, {id}: {told}; its log in {self.script.logs} ends with: {log}"
        )

    def _fill(self) -> bool:
        """Submit up to the wanted number; whether any was accepted."""
        with self._changing:
            before, self._refused = self._numbers, ""
            try:
                while len(self._jobs) < self._wanted and not self._stop.is_set():
                    self._jobs.append(self._sent())
            except RuntimeError as error:
                self._refused = refusal(self.system.submit, self.script.table, error)
            return self._numbers > before

    def _sent(self) -> SentJob:
        address = self.cluster.scheduler.contact_address or self.cluster.scheduler_address
        job = self.script.of_worker(self._numbers, address, threads=self._threads, keys=self._keys)
        self.cluster.sync(job.start)
        self._numbers += 1
        self._book.add(self.script.system, self.script.name, job.job_id)
        return SentJob(job.job_id, job.name, self._numbers)
