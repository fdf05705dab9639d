"""Jobs of a made-up SLURM that do run: their workers connect, die, and are replaced."""

import os
import signal
import time
from dataclasses import dataclass

import pytest

from volproc import lease
from volproc.config.cluster import ClusterOptions, PoolOptions
from volproc.engine.clusters import engine_of
from volproc.engine.clusters.jobqueue import pool_check, sent_job
from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.grid.blocks import Block, Tiling


@dataclass(frozen=True)
class Slow:
    """Slow enough to be killed in between."""

    def load(self, block: Block) -> None:
        time.sleep(0.1)

    def compute(self, block: Block, loaded: None) -> tuple[int, str]:
        return block.index, os.environ["MALLOC_ARENA_MAX"]

    def store(self, block: Block, result: tuple[int, str]) -> tuple[int, str]:
        return result


def lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.dask
def test_a_job_that_is_killed_is_replaced_and_nothing_is_left(queue, tmp_path, monkeypatch):
    queue.launch()
    monkeypatch.setattr(sent_job, "KEEP_EVERY_S", 0.5)
    options = ClusterOptions(kind="jobqueue", interface="lo", cpu=PoolOptions(memory_gb=2))
    step = Step("slow", Slow(), Tiling(shape=(1, 1, 20), core=(1, 1, 1)), "d")
    root = str(tmp_path / "run/ledger")
    killed = []

    def kill_once(event):
        if getattr(event, "done", 0) >= 3 and not killed:
            killed.extend(queue.groups())
            os.killpg(killed[0], signal.SIGKILL)

    with lease.holding(root), engine_of(options) as engine:
        records = Runner(engine, root, (kill_once,)).run(step)
    assert [tuple(record) for record in records] == [(n, "1") for n in range(20)]
    assert len(killed) == 1
    assert len(queue.groups()) == 2
    end = time.monotonic() + 60
    while any(map(lives, queue.groups())) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(lives, queue.groups()))


@pytest.mark.dask
def test_the_check_says_one_line_each_with_the_option(queue, tmp_path, monkeypatch):
    queue.launch()
    queue.new_jobs("RUNNING", left="59:00")
    options = ClusterOptions(kind="jobqueue", interface="lo", cpu=PoolOptions(memory_gb=2))
    found = list(pool_check.check(options, str(tmp_path)))
    lines = "\n".join(map(str, found))
    looked_at = ["queue", "network", "versions", "folder", "memory", "walltime", "scratch"]
    assert [one.what for one in found] == looked_at
    assert "WRONG" not in lines
    assert "cpu: versions: the same; [cluster.cpu] python, prologue" in lines
    assert f"cpu: folder: {tmp_path} is shared; a new file is seen there after 0." in lines
    assert "cpu: walltime: it ends in 59 min; [cluster.cpu] walltime" in lines
    assert queue.states() == ["CANCELLED"]
    assert list(tmp_path.glob("check-*")) == []


def test_a_job_that_dies_is_a_line_of_the_check(queue, tmp_path, monkeypatch):
    monkeypatch.setattr(sent_job, "KEEP_EVERY_S", 0.05)
    queue.new_jobs("FAILED")
    options = ClusterOptions(kind="jobqueue", interface="lo", cpu=PoolOptions(memory_gb=2))
    (found,) = pool_check.check(options, str(tmp_path))
    assert found.wrong
    assert str(found).startswith("WRONG cpu: worker: 3 jobs of cpu ended before their worker")
