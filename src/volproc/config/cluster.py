"""The options of [cluster]: who does the work, and where."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from volproc.config.kubernetes import KubernetesOptions
from volproc.config.options import Count, FilePath, NotNegative, Options, Positive


def _walltime(value: str) -> str:
    if value and not re.fullmatch(r"(\d+-)?\d+(:\d\d){1,2}", value):
        raise ValueError(f"walltime {value!r}: give hours:minutes:seconds, e.g. 04:00:00")
    return value


GPU_THREADS = 4
"""Blocks in hand on a GPU's worker, one for each thing that happens to a block: it is read, waits
on the GPU for the one before it, is computed, and is written. More would wait twice."""

Walltime = Annotated[str, BeforeValidator(_walltime)]
"""hours:minutes:seconds, also days-hours:minutes:seconds; "" is what the queue allows."""


class PoolOptions(Options):
    """Workers of one kind: batch jobs, or pods."""

    jobs: Count = 1
    """Batch jobs, or pods, that are kept at work."""
    workers_per_job: Count = 1
    """Worker processes in a job. With GPUs: one per GPU."""
    cores: Count = 1
    """Cores of a job."""
    memory_gb: Positive = 8.0
    """Memory of a job in GB (10^9 bytes); its workers share 95% of it."""
    gpus_per_job: Annotated[int, Field(ge=0)] = 0
    """GPUs of a job."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Blocks one worker has in hand, of which it computes one; 0 is 4 on a GPU, else 1."""
    walltime: Walltime = ""
    """How long a job may take; a worker gets no block that it could not finish."""
    queue: str = ""
    """Partition or queue; in Kubernetes the queue of Kueue."""
    account: str = ""
    """Account or project that is charged."""
    qos: str = ""
    """Quality of service (SLURM)."""
    constraint: str = ""
    """Features of nodes (SLURM); labels of nodes, e.g. "gpu=a100,zone=b" (kubernetes)."""
    gres: str = ""
    """Generic resources in SLURM's words, e.g. "gpu:a100:1"; by default gpus_per_job, any kind."""
    directives: tuple[str, ...] = ()
    """Further directives, as after #SBATCH, #PBS, ..., e.g. ["--exclusive"]."""
    prologue: tuple[str, ...] = ()
    """Lines of shell before the worker starts, e.g. ["module load cuda"]."""
    python: str = ""
    """Python of the workers; by default the one that runs volproc here."""
    local_directory: str = ""
    """Scratch of a worker, on its node; by default $TMPDIR there."""
    log_directory: FilePath = ""
    """Where jobs write their logs; by default beside the run's records."""
    interface: str = ""
    """Network interface of the workers, e.g. "ib0"."""
    ports: str = ""
    """Ports of the workers where only some are open, e.g. "20000:20100"."""
    death_timeout_s: Positive = 120.0
    """A worker that finds no scheduler for so long ends."""
    ask_ahead_minutes: NotNegative = 10.0
    """The pool is asked for so long before its first step begins, for the time in the queue."""
    price_per_job_hour: NotNegative = 0.0
    """What a job costs an hour, for `volproc plan --cluster`."""


class ClusterOptions(Options):
    """Who does the work."""

    kind: Literal["local", "serial", "jobqueue", "kubernetes", "connect"] = "local"
    """local: Dask workers on this machine. serial: this process alone, for debugging. jobqueue:
    workers in jobs of a batch system. kubernetes: workers in pods. connect: the workers of a Dask
    scheduler that is there."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Worker processes on this machine; 0 is one per core. Where the network runs on GPUs: see
    gpu_workers."""
    gpu_workers: Annotated[int, Field(ge=0)] = 0
    """Worker processes while the network runs on GPUs, dealt out to them; 0 is one per GPU, but no
    more than `workers` where that is given."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Blocks one worker has in hand, of which it computes one while the others are read or written;
    0 is 4 on a GPU, else 1."""
    worker_memory_gb: NotNegative = 0.0
    """Memory of one worker in GB (10^9 bytes); 0 shares 90% of the machine among them."""
    system: Literal["slurm", "pbs", "lsf", "sge", "htcondor", "oar"] = "slurm"
    """The batch system of kind = "jobqueue"."""
    address: str = ""
    """The Dask scheduler of kind = "connect", e.g. "tcp://10.0.0.1:8786"."""
    tls_ca: FilePath = ""
    """Certificate authority of the scheduler at a tls:// address (PEM)."""
    tls_cert: FilePath = ""
    """This client's certificate (PEM)."""
    tls_key: FilePath = ""
    """This client's key (PEM)."""
    interface: str = ""
    """Network interface on which the scheduler listens for workers, e.g. "ib0" (jobqueue)."""
    scheduler_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port of the scheduler where only some are open; 0 is any (jobqueue)."""
    cpu: PoolOptions = PoolOptions()
    """The workers of all steps that use no GPU (jobqueue, kubernetes)."""
    gpu: PoolOptions | None = None
    """The workers of steps on GPUs (jobqueue, kubernetes); without, the network runs on CPUs."""
    client: PoolOptions = PoolOptions(memory_gb=4.0)
    """The job in which `volproc submit` runs volproc itself (jobqueue)."""
    kubernetes: KubernetesOptions = KubernetesOptions()
    """What the pods of kind = "kubernetes" are made of."""

    @property
    def worker_bytes(self) -> int:
        """`worker_memory_gb` in bytes."""
        return int(self.worker_memory_gb * 10**9)

    @property
    def gpus_elsewhere(self) -> bool | None:
        """Whether workers elsewhere have GPUs; None where the workers are of this machine."""
        return None if self.kind in ("local", "serial") else self.gpu is not None
