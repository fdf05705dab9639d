"""Workers in the jobs of a real SLURM, where there is one; scripts/clusters-slurm does more."""

import shutil
import subprocess
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


def _answers() -> bool:
    return (
        bool(shutil.which("sinfo")) and subprocess.run(["sinfo", "-h"], check=False).returncode == 0
    )


pytestmark = [
    pytest.mark.dask,
    pytest.mark.skipif(
        not shutil.which("slurmctld") or not _answers(),
        reason="no SLURM answers here; scripts/clusters/slurm_up.sh up starts one",
    ),
]


@dataclass(frozen=True)
class Late:
    """Long enough for a job to be cancelled meanwhile."""

    def load(self, block: Block) -> None:
        time.sleep(0.2)

    def compute(self, block: Block, loaded: None) -> int:
        return block.index**2

    def store(self, block: Block, result: int) -> int:
        return result


def listed(*states: str) -> list[str]:
    command = ["squeue", "-h", "-t", ",".join(states), "-o", "%i %j"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.split()[0] for line in lines if " vp-" in line]


def test_a_job_that_is_cancelled_is_replaced_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(sent_job, "KEEP_EVERY_S", 1.0)
    options = ClusterOptions(
        kind="jobqueue", interface="lo", cpu=PoolOptions(memory_gb=2, interface="lo")
    )
    step = Step("late", Late(), Tiling(shape=(1, 1, 20), core=(1, 1, 1)), "d")
    root = str(tmp_path / "run/ledger")
    cancelled = []

    def cancel_once(event):
        if getattr(event, "done", 0) >= 3 and not cancelled:
            cancelled.extend(listed("RUNNING"))
            subprocess.run(["scancel", *cancelled], check=True)

    with lease.holding(root), engine_of(options) as engine:
        records = Runner(engine, root, (cancel_once,)).run(step)
    assert records == [n**2 for n in range(20)]
    assert cancelled
    assert listed("PENDING", "RUNNING", "COMPLETING") == []
