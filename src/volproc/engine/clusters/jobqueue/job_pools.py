"""The pools of a batch system: one set of jobs for steps on CPUs, one for those on GPUs."""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import dask
from distributed import Scheduler, Security, SpecCluster

from volproc.config.cluster import ClusterOptions
from volproc.engine.clusters.jobqueue.job_records import (
    JobBook,
    key_folder,
    log_folder,
    root_of_lease,
)
from volproc.engine.clusters.jobqueue.job_scripts import Script, library, pool_script
from volproc.engine.clusters.jobqueue.job_workers import JobWorkers
from volproc.engine.clusters.jobqueue.queues import SYSTEMS, run
from volproc.engine.clusters.jobqueue.sent_job import refusal
from volproc.engine.clusters.pools import Pools, WorkerPool, at_work, threads_of
from volproc.engine.distributed import DaskEngine
from volproc.engine.protocol import Engine, Step
from volproc.engine.worker_settings import DASK
from volproc.errors import ConfigError, VolprocError

SETTINGS = {
    **DASK,
    # all that comes over the network is asked for its key
    "distributed.comm.require-encryption": True,
}
KEY_FILES = ("ca_file", "cert", "key")

logger = logging.getLogger("volproc")


@dataclass(frozen=True)
class JobPool(WorkerPool):
    """Workers of "cpu" or "gpu" jobs."""

    name: str


class JobPools(Pools):
    """A scheduler of its own for each pool, in this process; connections are encrypted."""

    def __init__(self, options: ClusterOptions) -> None:
        super().__init__()
        self.options = options
        self.root = root_of_lease()
        self._token = uuid4().hex[:6]
        self._book = JobBook(self.root)
        self._security = Security.temporary()
        self._key_files: list[Path] = []
        if options.gpu is not None:
            self.ask_ahead_s = 60 * options.gpu.ask_ahead_minutes

    def pool_for(self, step: Step | None) -> JobPool:
        """The GPU pool for a step on GPUs, where there is one; the CPU pool else."""
        on_gpu = step is not None and step.on_gpu and self.options.gpu is not None
        script = self.script("gpu" if on_gpu else "cpu")
        stated = script.options.threads or self.options.threads
        return JobPool(
            threads_of(stated, on_gpu=on_gpu), script.worker_bytes, "gpu" if on_gpu else "cpu"
        )

    def script(self, pool: str) -> Script:
        """The script of a pool's jobs."""
        stated = getattr(self.options, pool).log_directory
        return pool_script(self.options, pool, self._token, log_folder(self.root, stated))

    def start(self, pool: WorkerPool) -> DaskEngine:
        """Submit the jobs of a pool."""
        assert isinstance(pool, JobPool)
        workers = self.workers(pool)
        if line := tunnel(workers):
            logger.warning("%s", line)
        return DaskEngine(workers, worker_bytes=pool.worker_bytes, threads=pool.threads)

    def workers(self, pool: JobPool, *, jobs: int | None = None) -> JobWorkers:
        """The workers of a pool, or of fewer jobs of its kind."""
        script = self.script(pool.name)
        script.logs.mkdir(parents=True, exist_ok=True)
        return JobWorkers(
            script,
            cluster=scheduler_only(self._scheduler(pool.name), self._security),
            keys=self._keys(script),
            book=self._book,
            threads=pool.threads,
            jobs=jobs,
        )

    def close(self) -> None:
        """Let all workers go, and remove the keys of their connections."""
        try:
            super().close()
        finally:
            for file in self._key_files:
                file.unlink(missing_ok=True)

    def _scheduler(self, pool: str) -> dict[str, Any]:
        port = self.options.scheduler_port
        interface = self.options.interface or getattr(self.options, pool).interface
        return {
            "protocol": "tls://",
            "security": self._security,
            "interface": interface or None,
            "port": port + (pool == "gpu") if port else 0,  # two cannot share one
            "dashboard": importlib.util.find_spec("bokeh") is not None,
            "dashboard_address": "127.0.0.1:0",
        }

    def _keys(self, script: Script) -> Security:
        """What workers need to be let in, in files that only this user can read."""
        held = self._security.get_tls_config_for_role("worker")
        folder = key_folder(script.logs)
        folder.mkdir(mode=0o700, exist_ok=True)
        paths = {key: folder / f"{script.name}.{key}.pem" for key in KEY_FILES}
        for key, path in paths.items():
            path.unlink(missing_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(held[key])
            self._key_files.append(path)
        return Security(
            tls_ca_file=str(paths["ca_file"]),
            tls_worker_cert=str(paths["cert"]),
            tls_worker_key=str(paths["key"]),
            require_encryption=True,
        )


def scheduler_only(options: Mapping[str, Any], security: Security) -> SpecCluster:
    """A Dask cluster without workers; VolprocError where its scheduler cannot listen."""
    try:
        return SpecCluster(
            workers={},
            scheduler={"cls": Scheduler, "options": dict(options)},
            security=security,
            silence_logs=40,
        )
    except (RuntimeError, OSError, ValueError) as error:
        raise VolprocError(
            f"Dask's scheduler cannot listen here ({' '.join(str(error).split())}); check "
            "[cluster] interface and scheduler_port"
        ) from error


def require(options: ClusterOptions) -> None:
    """Refuse what cannot work before anything is submitted: VolprocError, one line."""
    library()
    SYSTEMS[options.system].require("[cluster] kind or system")
    if options.gpu is not None and not options.gpu.gpus_per_job:
        raise ConfigError(
            "[cluster.gpu] gpus_per_job is 0: say how many GPUs a job gets, or leave out "
            "[cluster.gpu], and the network runs on CPUs"
        )


def require_accepted(pools: JobPools) -> None:
    """VolprocError where SLURM would refuse a job, in its own words; nothing is submitted.

    It also refuses what it would queue, e.g. while all nodes are drained: only "invalid" counts.
    """
    if pools.options.system != "slurm":
        return
    for name in ("cpu", "gpu") if pools.options.gpu is not None else ("cpu",):
        script = pools.script(name)
        with script.of_worker(0, "tls://here", threads=1).job_file() as file:
            done = run(["sbatch", "--test-only", file])
        if done.returncode and "invalid" in done.stderr.lower():
            error = RuntimeError(f"stderr:{done.stderr}")
            raise VolprocError(refusal("sbatch", script.table, error))


@contextmanager
def engine(options: ClusterOptions) -> Iterator[Engine]:
    """Workers in jobs, which are gone from the queue at the end."""
    require(options)
    pools = JobPools(options)
    require_accepted(pools)
    with dask.config.set(SETTINGS), at_work(pools) as engine:
        yield engine


def tunnel(workers: JobWorkers) -> str:
    """How to look at Dask's dashboard, which only this machine shows; "" where there is none."""
    link = workers.cluster.dashboard_link
    port = link.rpartition(":")[2].partition("/")[0] if link else ""
    if not port or importlib.util.find_spec("bokeh") is None:
        return ""
    return f"Dask's dashboard: ssh -L {port}:127.0.0.1:{port} {socket.gethostname()}, then {link}"
