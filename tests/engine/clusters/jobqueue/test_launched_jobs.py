"""Jobs of a made-up SLURM that do run: their workers connect, die, and are replaced."""

import os
import signal
import time
from dataclasses import dataclass

import pytest

from volproc import lease
from volproc.config.cluster import ClusterOptions, PoolOptions
from volproc.engine.clusters import engine_of
from volproc.engine.clusters.jobqueue import sent_job
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
