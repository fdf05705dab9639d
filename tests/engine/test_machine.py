"""Limits of containers and batch jobs are seen, whichever is the smallest."""

import psutil
import pytest

from volproc.engine import machine

LIMITS = ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", *machine.JOB_CORES)


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """groups(own, files): this process in control groups whose files say this, in no job."""
    for name in LIMITS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(64)), raising=False)

    def make(own, files):
        for name, text in files.items():
            (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "cgroup" / name).write_text(f"{text}\n")
        (tmp_path / "own").write_text(own)
        monkeypatch.setattr(machine, "OWN_GROUPS", tmp_path / "own")
        monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")

    make("", {})
    return make


def test_without_limits_it_is_the_machine(groups):
    assert machine.machine_bytes() == psutil.virtual_memory().total
    assert machine.machine_cores() == 64


def test_the_second_version_of_control_groups_and_what_is_above_the_own_one(groups):
    groups(
        "0::/job/step",
        {
            "job/memory.max": 700_000_000,
            "job/step/memory.max": "max",
            "job/step/cpu.max": "250000 100000",
            "job/cpu.max": "max 100000",
            "other/memory.max": 5,
        },
    )
    assert machine.machine_bytes() == 700_000_000
    assert machine.machine_cores() == 3


def test_in_a_container_the_root_is_the_own_group(groups):
    groups("0::/docker/abc", {"memory.max": 600_000_000, "cpu.max": "50000 100000"})
    assert machine.machine_bytes() == 600_000_000
    assert machine.machine_cores() == 1


def test_the_first_version_of_control_groups(groups):
    groups(
        "4:memory:/slurm/job\n2:cpu,cpuacct:/slurm\n1:name=systemd:/",
        {
            "memory/slurm/job/memory.limit_in_bytes": 800_000_000,
            "memory/memory.limit_in_bytes": 9223372036854771712,
            "cpu,cpuacct/slurm/cpu.cfs_quota_us": 400000,
            "cpu,cpuacct/slurm/cpu.cfs_period_us": 100000,
            "cpu,cpuacct/cpu.cfs_quota_us": -1,
            "cpu,cpuacct/cpu.cfs_period_us": 100000,
        },
    )
    assert machine.machine_bytes() == 800_000_000
    assert machine.machine_cores() == 4


@pytest.mark.parametrize(
    ("told", "memory"),
    [
        ({"SLURM_MEM_PER_NODE": "500"}, 500 * 2**20),
        ({"SLURM_MEM_PER_CPU": "100", "SLURM_CPUS_ON_NODE": "4"}, 400 * 2**20),
        ({"SLURM_MEM_PER_NODE": "0"}, psutil.virtual_memory().total),
    ],
)
def test_memory_of_a_job(groups, monkeypatch, told, memory):
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert machine.machine_bytes() == memory


@pytest.mark.parametrize("name", machine.JOB_CORES)
def test_cores_of_a_job(groups, monkeypatch, name):
    monkeypatch.setenv(name, "5")
    assert machine.machine_cores() == 5
    monkeypatch.setenv(name, "500")
    assert machine.machine_cores() == 64
