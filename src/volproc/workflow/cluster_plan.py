"""The steps of a plan as work for the pools of its cluster, with what is known of their speed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from volproc.config.cluster import ClusterOptions, PoolOptions
from volproc.engine.machine import machine_cores, visible_gpus
from volproc.engine.protocol import Step
from volproc.engine.records import record_log
from volproc.errors import ConfigError
from volproc.workflow import saved
from volproc.workflow.cluster_costs import PoolSize, Work
from volproc.workflow.filled import LOG, filled, own
from volproc.workflow.speeds import GpuSeconds, Speed, speeds, stated_on_gpu, stated_seconds
from volproc.workflow.workflow_file import Workflow

Planned = Sequence[tuple[str, Sequence[Step]]]
MEASURED, STATED, ASSUMED = "measured", "stated", "assumed"
"""Sources of a speed: an earlier run of this workflow, volproc's benchmarks, nobody."""

START_S = 60.0
"""Of a job or pod, until its workers are at work: assumed. Without it a job for every block would
often be the cheapest."""


@dataclass(frozen=True)
class ClusterPlan:
    """What is left to do, and on which pools."""

    work: tuple[Work, ...]
    pools: Mapping[str, PoolSize]


def cluster_plan(workflow: Workflow, planned: Planned, *, gpu_flops: float) -> ClusterPlan:
    """The steps that are left of a plan, on the pools of [cluster].

    A step is as fast as in the earlier run whose log lies in the run's folder, a worker with
    more cores in proportion; what that run did not do is estimated from stated figures.
    """
    known = speeds(record_log(own(filled(workflow), LOG)).peek())
    uses_gpus = any(step.on_gpu for _, steps in planned for step in steps)
    pools = dict(_pools(workflow.cluster, uses_gpus=uses_gpus))
    cores = _worker_cores(saved(workflow.run.folder).cluster) if known else 1.0
    speed = _Speeds(known, cores, gpu_flops)
    return ClusterPlan(tuple(_work(planned, speed, pools)), pools)


def _pools(cluster: ClusterOptions, *, uses_gpus: bool) -> Iterator[tuple[str, PoolSize]]:
    if cluster.kind == "connect":
        raise ConfigError(
            'the workers of kind = "connect" are known to its scheduler only; state as many in '
            "the words of a batch system, e.g. --set cluster.kind=jobqueue "
            "--set cluster.cpu.jobs=8 --set cluster.cpu.cores=16"
        )
    if cluster.kind in ("local", "serial"):
        yield from _of_machine(cluster, uses_gpus=uses_gpus)
        return
    yield "cpu", _of_jobs(cluster.cpu)
    if cluster.gpu is not None:
        yield "gpu", _of_jobs(cluster.gpu)


def _of_machine(cluster: ClusterOptions, *, uses_gpus: bool) -> Iterator[tuple[str, PoolSize]]:
    cores = machine_cores()
    workers = 1 if cluster.kind == "serial" else cluster.workers or cores
    yield "cpu", PoolSize(1, workers, cores, most=1, shared=True)
    if uses_gpus:
        gpus = max(1, len(visible_gpus()))
        one_each = min(gpus, cluster.workers or gpus)
        workers = 1 if cluster.kind == "serial" else cluster.gpu_workers or one_each
        yield "gpu", PoolSize(1, workers, cores, gpus, most=1, shared=True)


def _of_jobs(pool: PoolOptions) -> PoolSize:
    return PoolSize(
        pool.jobs,
        pool.workers_per_job,
        pool.cores,
        pool.gpus_per_job,
        pool.price_per_job_hour,
        ask_ahead_s=60 * pool.ask_ahead_minutes,
        start_s=START_S,
    )


def _worker_cores(cluster: ClusterOptions) -> float:
    """Of a worker of the pool for CPUs; those of a scheduler elsewhere are taken to have one."""
    if cluster.kind == "connect":
        return 1.0
    size = next(_pools(cluster, uses_gpus=False))[1]
    return size.cores / size.workers_per_job


def _work(planned: Planned, speeds: _Speeds, pools: Mapping[str, PoolSize]) -> Iterator[Work]:
    for stage, steps in planned:
        for step in steps:
            left = max(1, len(step.blocks)) - step.recorded
            pool = "gpu" if step.on_gpu else "cpu"
            if left > 0:
                yield Work(stage, step.name, pool, left, *speeds.of_block(step, pools[pool]))


@dataclass(frozen=True)
class _Speeds:
    """What an earlier run measured, with workers of so many cores; and the stated figures."""

    known: Mapping[str, Speed]
    cores: float
    gpu_flops: float

    def of_block(self, step: Step, size: PoolSize) -> tuple[float, str, GpuSeconds | None]:
        """How long a worker takes for a block of a step, where that is from, and what a GPU is
        estimated to take of it."""
        speed = self.known.get(step.name)
        cores = size.cores / size.workers_per_job
        if speed is None or speed.on_gpu != step.on_gpu:
            if not step.on_gpu:
                return self._stated(step, cores), STATED, None
            gpu = self._on_gpu(step, cores)
            return gpu.longest, ASSUMED, gpu
        voxels = sum(block.core.size for block in step.blocks) / max(1, len(step.blocks))
        faster = 1.0 if step.on_gpu else cores / self.cores
        workers = "worker" if speed.workers == 1 else "workers"
        how = "" if speed.precision == step.precision else f" in {speed.precision}"
        seconds = voxels / speed.voxels_in(step.precision) / faster
        return seconds, f"{MEASURED} on {speed.workers} {workers}{how}", None

    def _stated(self, step: Step, cores: float) -> float:
        blocks = max(1, len(step.blocks))
        return stated_seconds(
            step.name,
            flop=step.flop / blocks,
            bytes_moved=(step.bytes_read + step.bytes_written) / blocks,
            cores=cores,
            precision=step.precision,
        )

    def _on_gpu(self, step: Step, cores: float) -> GpuSeconds:
        blocks = max(1, len(step.blocks))
        return stated_on_gpu(
            flop=step.flop / blocks,
            bytes_read=step.bytes_read / blocks,
            bytes_written=step.bytes_written / blocks,
            cores=cores,
            gpu_flops=self.gpu_flops,
        )
