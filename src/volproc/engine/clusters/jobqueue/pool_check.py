"""`volproc cluster check`: one small job per pool, and what it finds, a line each."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import dask

from volproc.config.cluster import ClusterOptions
from volproc.engine import wire
from volproc.engine.clusters.jobqueue.job_pools import (
    SETTINGS,
    JobPool,
    JobPools,
    require,
    require_accepted,
)
from volproc.engine.clusters.jobqueue.job_workers import JobWorkers
from volproc.engine.clusters.jobqueue.sent_job import in_words
from volproc.engine.machine import machine_bytes, visible_gpus
from volproc.engine.memory import human
from volproc.errors import VolprocError

SEEN_WITHIN_S = 60.0
LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class Finding:
    """One line of a check: the pool, what was looked at, what was found, the option to set."""

    pool: str
    what: str
    said: str
    option: str
    wrong: bool = False

    def __str__(self) -> str:
        mark = "WRONG " if self.wrong else ""
        table = "" if self.option.startswith("[") else f"[cluster.{self.pool}] "
        return f"{mark}{self.pool}: {self.what}: {self.said}; {table}{self.option}"


@dataclass(frozen=True)
class Seen:
    """What a worker sees: its memory limit, GPUs, scratch and free bytes there."""

    bytes: int
    gpus: tuple[str, ...]
    scratch: str
    free: int


def check(options: ClusterOptions, folder: str) -> Iterator[Finding]:
    """Send one job per pool and say what it finds; `folder` should be seen by all nodes.

    VolprocError where no job can be sent at all.
    """
    require(options)
    with dask.config.set(SETTINGS), closing(JobPools(options)) as pools:
        require_accepted(pools)
        for name in ("cpu", "gpu") if options.gpu is not None else ("cpu",):
            yield from _of_pool(pools, name, Path(folder).absolute())


def _of_pool(pools: JobPools, name: str, folder: Path) -> Iterator[Finding]:
    script = pools.script(name)
    workers = pools.workers(JobPool(1, script.worker_bytes, name), jobs=1)
    with closing(workers):
        began = time.monotonic()
        try:
            address = _first_worker(workers)
        except VolprocError as error:
            yield Finding(name, "worker", str(error), "interface, prologue, python", wrong=True)
            return
        waited = in_words(time.monotonic() - began)
        ahead = "ask_ahead_minutes" if name == "gpu" else "queue, qos"
        yield Finding(name, "queue", f"a worker was there after {waited}", ahead)
        network = list(_of_network(workers, name, address))
        yield from network
        if any(one.wrong for one in network):
            return  # it could not do what comes next
        yield _of_folder(workers, name, folder)
        seen: Seen = workers.client.run(look, workers=[address])[address]
        yield from _of_machine(workers, name, seen)


def _first_worker(workers: JobWorkers) -> str:
    while True:
        there = workers.client.scheduler_info(n_workers=-1)["workers"]
        if there:
            return str(next(iter(there)))
        workers.waiting_for()
        time.sleep(LOOK_EVERY_S)


def _of_network(workers: JobWorkers, name: str, address: str) -> Iterator[Finding]:
    scheduler = workers.client.scheduler.address
    found = workers.client.run(
        wire.load, wire.versions_call(), workers=[address], on_error="return"
    )[address]
    failed = isinstance(found, Exception)
    ways = f"the worker at {address} reaches the scheduler at {scheduler}"
    back = "the scheduler does not reach it" if failed else "and is reached"
    yield Finding(name, "network", f"{ways}, {back}", "interface, ports", wrong=failed)
    if not failed:
        other = wire.other_versions(wire.versions(), found)
        yield Finding(name, "versions", other or "the same", "python, prologue", wrong=bool(other))


def _of_folder(workers: JobWorkers, name: str, folder: Path) -> Finding:
    """Whether a file written here is seen there, and one written there is seen here, how soon."""
    there, back = (folder / f"check-{uuid4().hex}" for _ in range(2))
    try:
        there.write_text("here")
        lag = workers.client.submit(answer, str(there), str(back), pure=False).result()
        again = seconds_until(str(back))
    finally:
        there.unlink(missing_ok=True)
        back.unlink(missing_ok=True)
    option = "[run] folder"
    if lag is None or again is None:
        where = "the node" if lag is None else "this machine"
        text = f"{folder} is not shared: {where} does not see a new file there"
        return Finding(name, "folder", text, option, wrong=True)
    seen = f"a new file is seen there after {lag:.1f} s, here after {again:.1f} s"
    text = f"{folder} is shared; {seen}"
    return Finding(name, "folder", text, option)


def answer(there: str, back: str) -> float | None:
    """On a worker: seconds until a file is seen; another one is written in return."""
    lag = seconds_until(there)
    if lag is not None:
        Path(back).write_text("there")
    return lag


def seconds_until(path: str) -> float | None:
    """How long a file took to be seen; None if it is not within a minute."""
    began = time.monotonic()
    while time.monotonic() - began < SEEN_WITHIN_S:
        if os.path.exists(path):
            return time.monotonic() - began
        time.sleep(0.05)
    return None


def look(dask_worker: Any) -> Seen:
    """On a worker, which Dask gives: what it sees."""
    scratch = dask_worker.local_directory
    return Seen(machine_bytes(), visible_gpus(), scratch, shutil.disk_usage(scratch).free)


def _of_machine(workers: JobWorkers, name: str, seen: Seen) -> Iterator[Finding]:
    script = workers.script
    needed = script.worker_bytes * script.workers
    said = f"the job may use {human(seen.bytes)}, its workers {human(needed)}"
    yield Finding(name, "memory", said, "memory_gb", wrong=seen.bytes < needed)
    if name == "gpu":
        gpus = f"a worker sees {len(seen.gpus)} ({', '.join(seen.gpus) or 'none'})"
        yield Finding(name, "GPU", gpus, "gpus_per_job, gres", wrong=not seen.gpus)
    workers.look()
    left = workers.seconds_left()
    ends = "the queue states no end of the job" if left is None else f"it ends in {in_words(left)}"
    yield Finding(name, "walltime", ends, "walltime")
    yield Finding(name, "scratch", f"{human(seen.free)} free in {seen.scratch}", "local_directory")
