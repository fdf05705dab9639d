"""What this process may use: memory and cores as limited by containers and jobs, and GPUs."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
JOB_CORES = (
    *("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE", "PBS_NCPUS", "NCPUS"),
    *("LSB_DJOB_NUMPROC", "NSLOTS"),
)
"""Where Slurm, PBS, LSF and Grid Engine state the cores of a job."""


def machine_bytes() -> int:
    """Memory of this machine, or less where a control group or a batch job has less."""
    limits = (_cgroup_bytes(), _batch_bytes(os.environ))
    return min([int(psutil.virtual_memory().total), *(limit for limit in limits if limit)])


def machine_cores() -> int:
    """Cores this process may use; a part of a core counts as one."""
    affine = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if affine else os.cpu_count() or 1
    limits = (_cgroup_cores(), _batch_cores(os.environ))
    return max(1, min([cores, *(limit for limit in limits if limit)]))


def visible_gpus() -> tuple[str, ...]:
    """The names of this process' GPUs in CUDA_VISIBLE_DEVICES; torch gives their number."""
    import torch  # seconds: only those who want a GPU wait for it

    count = torch.cuda.device_count()
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in given.split(",")] if given else map(str, range(count))
    return tuple(names)[:count]


def _cgroup_bytes() -> int:
    """Of both versions of control groups; 0 where there is no limit."""
    found = [
        _number(text)
        for name in ("memory.max", "memory.limit_in_bytes")
        for text in _group_limits(name)
    ]
    return min((limit for limit in found if limit), default=0)


def _cgroup_cores() -> int:
    quotas = [text.split() for text in _group_limits("cpu.max")]
    older = zip(_group_limits("cpu.cfs_quota_us"), _group_limits("cpu.cfs_period_us"), strict=False)
    quotas += [list(pair) for pair in older]
    found = [math.ceil(_number(quota) / max(1, _number(period))) for quota, period in quotas]
    return min((cores for cores in found if cores), default=0)


def _group_limits(name: str) -> Iterator[str]:
    """The files of that name in the control groups of this process, up to the root."""
    try:
        lines = OWN_GROUPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        hierarchy = CGROUPS / controllers if controllers else CGROUPS
        own = hierarchy / path.strip("/")
        # in a container the path is the host's, and the root is the group of this process
        for folder in (own, *own.parents):
            if folder.is_relative_to(hierarchy):
                try:
                    yield (folder / name).read_text().strip()
                except OSError:
                    continue


def _batch_bytes(environment: Mapping[str, str]) -> int:
    """Memory of this job on this machine, which Slurm states in MB; 0 if it does not."""
    stated = _number(environment.get("SLURM_MEM_PER_NODE", ""))
    each = _number(environment.get("SLURM_MEM_PER_CPU", ""))
    return (stated or each * _number(environment.get("SLURM_CPUS_ON_NODE", "1"))) * 2**20


def _batch_cores(environment: Mapping[str, str]) -> int:
    """Cores of this job on this machine, from Slurm, PBS, LSF or Grid Engine; 0 if none states."""
    return next((n for name in JOB_CORES if (n := _number(environment.get(name, "")))), 0)


def _number(text: str) -> int:
    """A limit as a number; 0 for "max", -1 and nothing, which are no limits."""
    return int(text) if text.isdigit() else 0
