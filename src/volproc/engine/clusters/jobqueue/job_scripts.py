"""The scripts of jobs: dask-jobqueue's, with what the options of a pool say. Site files count."""

from __future__ import annotations

import math
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import dask
import yaml

from volproc.config.cluster import ClusterOptions, PoolOptions
from volproc.engine.clusters.jobqueue.queues import seconds
from volproc.engine.worker_settings import dask_environment, environment
from volproc.errors import INSTALL, ConfigError

JOB_CLASSES = {
    "slurm": "SLURMJob",
    "pbs": "PBSJob",
    "lsf": "LSFJob",
    "sge": "SGEJob",
    "htcondor": "HTCondorJob",
    "oar": "OARJob",
}
WORKERS_SHARE = 0.95
"""Of a job's memory: systems count in other units, and the nanny needs some."""
DEAL_GPUS = "volproc.engine.clusters.jobqueue.deal_gpus"


def library() -> ModuleType:
    """dask-jobqueue; ConfigError where it is not installed."""
    held = signal.getsignal(signal.SIGINT)
    try:
        import_module("cryptography")
        found = import_module("dask_jobqueue")
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, held)  # its import makes Ctrl-C end a run with exit code 0
        return found
    except ImportError as error:
        raise ConfigError(
            f'[cluster] kind = "jobqueue" needs {error.name or "dask_jobqueue"}: '
            f"{INSTALL.format('jobqueue')}"
        ) from error


@dataclass(frozen=True)
class Script:
    """What makes the jobs of one kind: their system, its options, their name and where they log.

    `table` is the options' table in the workflow file.
    """

    system: str
    options: PoolOptions
    table: str
    name: str
    logs: Path

    @property
    def workers(self) -> int:
        """Worker processes in a job: one per GPU at the least."""
        return max(self.options.workers_per_job, self.options.gpus_per_job)

    @property
    def worker_bytes(self) -> int:
        """Memory of one worker."""
        return int(WORKERS_SHARE * self.options.memory_gb * 10**9 / self.workers)

    @property
    def walltime_s(self) -> float | None:
        """How long a job may take, where the options or the site's file say so."""
        return seconds(self._walltime() or "")

    def of_worker(self, number: int, scheduler: str, *, threads: int, keys: Any = None) -> Any:
        """dask-jobqueue's job number `number` of the pool. Awaited in a loop it is submitted.

        `keys` are Dask's Security with files that the nodes see.
        """
        job = self._job(
            [*_exports(self.worker_environment()), *self.options.prologue],
            scheduler=scheduler,
            name=f"{self.name}-{number}",
            security=keys,
            processes=self.workers,
            threads=threads,
            worker_extra_args=self._worker_flags(),
        )
        # signals reach the worker, not a shell that would end before it
        job._command_template = job._command_template.replace(self.python, f"exec {self.python}", 1)
        return job

    def of_command(self, command: str, *, folder: str) -> Any:
        """The job that runs a command in a folder; after a failed node it is started again."""
        job = self._job(list(self.options.prologue), name=self.name, requeue=True)
        before = job._job_script_prologue if self.system == "htcondor" else []
        lines = [*before, f"cd {shlex.quote(folder)}", f"exec {command}"]
        job._command_template = "; ".join(lines) if before else " && ".join(lines)
        return job

    @property
    def python(self) -> str:
        """Python in the jobs."""
        return self.options.python or self._site("python") or sys.executable

    def worker_environment(self) -> dict[str, str]:
        """What is set for the workers of a job."""
        return environment(self.workers, cores=self.options.cores) | dask_environment()

    def _worker_flags(self) -> list[str]:
        options = self.options
        flags = list(self._site("worker-extra-args") or ())
        flags += ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
        if options.ports:
            flags += ["--worker-port", options.ports, "--nanny-port", options.ports]
        if options.gpus_per_job:
            flags += ["--preload-nanny", DEAL_GPUS]
        return flags

    def _job(
        self, prologue: Sequence[str], *, threads: int = 1, requeue: bool = False, **more: Any
    ) -> Any:
        options = self.options
        given = {
            "cores": options.cores,
            "memory": f"{int(options.memory_gb * 10**9)}B",
            "job_name": self.name,
            "python": self.python,
            "interface": options.interface or None,
            "local_directory": options.local_directory or self._site("local-directory"),
            "death_timeout": options.death_timeout_s,
            "log_directory": str(self.logs),
            "job_script_prologue": [*(self._site("job-script-prologue") or ()), *prologue],
            **self._resources(requeue),
            **more,
        }
        before = {f"jobqueue.{self.system}.walltime": None}
        with dask.config.set(before), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of OAR's memory: [cluster.cpu] directives say it
            return _class(self.system, threads, self.worker_bytes)(**given)

    def _resources(self, requeue: bool) -> dict[str, Any]:
        """What a job asks for, in the words of its system."""
        options, system, gpus = self.options, self.system, self.options.gpus_per_job
        walltime, extra = self._walltime(), [*self._site_directives(), *options.directives]
        if system == "slurm":
            words = {"gres": options.gres or (f"gpu:{gpus}" if gpus else "")}
            words |= {"qos": options.qos, "constraint": options.constraint}
            # a job that is requeued would come back under the name of a worker that is known
            own = [f"--{key}={value}" for key, value in words.items() if value]
            own += ["--requeue" if requeue else "--no-requeue"]
            return {
                "queue": options.queue or None,
                "account": options.account or None,
                "walltime": walltime,
                "job_mem": f"{math.ceil(options.memory_gb * 10**9 / 2**20)}M",
                "job_extra_directives": own + extra,
            }
        if system == "htcondor":
            return self._condor(gpus, extra)
        account: dict[str, Any] = {"project": options.account or None}
        if system == "pbs":
            memory = math.ceil(options.memory_gb * 10**9 / 2**20)
            spec = f"select=1:ncpus={options.cores}:mem={memory}MB"
            spec += f":ngpus={gpus}" if gpus else ""
            account = {
                "account": options.account or None,
                "resource_spec": self._site("resource-spec") or spec,
            }
            extra = [f"-r {'y' if requeue else 'n'}", *extra]
        elif system == "lsf":
            extra = [*([f'-gpu "num={gpus}"'] if gpus else []), *extra]
            extra = [*(["-r"] if requeue else []), *extra]
        elif system == "sge":
            extra = [*([f"-l gpu={gpus}"] if gpus else []), *extra]
            extra = [f"-r {'y' if requeue else 'n'}", *extra]
        elif system == "oar" and gpus:
            account["resource_spec"] = self._site("resource-spec") or f"/nodes=1/gpu={gpus}"
        return account | {
            "queue": options.queue or None,
            "walltime": walltime,
            "job_extra_directives": extra,
        }

    def _condor(self, gpus: int, extra: Sequence[str]) -> dict[str, Any]:
        """HTCondor's: it has no queues, and directives are KEY = VALUE."""
        pairs = [one.partition("=") for one in extra]
        found = {key.strip(): value.strip() for key, _, value in pairs}
        if gpus:
            found["request_gpus"] = str(gpus)
        if self.options.account:
            found["accounting_group"] = self.options.account
        disk = self._site("disk") or "10GB"
        return {"disk": disk, "job_extra_directives": found}

    def _walltime(self) -> str | None:
        """In the system's own form; None for what the queue allows."""
        stated = self.options.walltime
        if not stated:
            site = self._site("walltime")
            return None if site == _defaults(self.system).get("walltime") else site
        total = int(seconds(stated) or 0)
        if self.system == "slurm":
            return stated
        if self.system == "lsf":
            return f"{total // 3600:02}:{math.ceil(total % 3600 / 60):02}"
        return f"{total // 3600:02}:{total % 3600 // 60:02}:{total % 60:02}"

    def _site_directives(self) -> list[str]:
        found = self._site("job-extra-directives") or ()
        if isinstance(found, Mapping):
            return [f"{key} = {value}" for key, value in found.items()]
        return list(found)

    def _site(self, key: str) -> Any:
        """What a site's jobqueue.yaml says; dask-jobqueue's own default else."""
        library()
        return dask.config.get(f"jobqueue.{self.system}.{key}", None)


@cache
def _defaults(system: str) -> dict[str, Any]:
    """dask-jobqueue's own: half an hour for every job, which nobody has chosen."""
    path = Path(str(library().__file__)).with_name("jobqueue.yaml")
    found: dict[str, Any] = yaml.safe_load(path.read_text())["jobqueue"][system]
    return found


def _class(system: str, threads: int, worker_bytes: int) -> type[Any]:
    """dask-jobqueue's class of a system, with our number of threads and memory of a worker."""
    home = import_module(f"dask_jobqueue.{system}") if library() else None
    kind: type[Any] = getattr(home, JOB_CLASSES[system])
    own = {
        "worker_process_threads": property(lambda _: threads),
        "worker_process_memory": property(lambda _: f"{worker_bytes}B"),
    }
    return type(kind.__name__, (kind,), own)


def _exports(variables: Mapping[str, str]) -> list[str]:
    return [f"export {name}={_quoted(value)}" for name, value in variables.items()]


def _quoted(value: str) -> str:
    return f"'{value}'" if " " in value else value


def pool_script(options: ClusterOptions, pool: str, token: str, logs: Path) -> Script:
    """The script of a pool, "cpu", "gpu" or "client"; `token` sets this run's jobs apart."""
    found: PoolOptions | None = getattr(options, pool)
    return Script(
        options.system, found or PoolOptions(), f"[cluster.{pool}]", f"vp-{token}-{pool}", logs
    )
