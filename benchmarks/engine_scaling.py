"""What the engine itself costs: blocks a second, CPU and memory, by workers, length and number.

    python benchmarks/engine_scaling.py lengths     # 0.1, 1 and 10 s on 2, 4 and 8 workers
    python benchmarks/engine_scaling.py numbers     # 10^4 and 10^5 blocks that do nothing
    python benchmarks/engine_scaling.py many        # 64 workers, in this process

Blocks sleep, so two cores stand for any number of workers. Utilisation is the time that blocks
slept over the time that all threads could have. Client and scheduler are this process.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import psutil
from distributed import LocalCluster

from volproc.engine.clusters.local import local_engine
from volproc.engine.distributed import DaskEngine
from volproc.engine.protocol import Outcome, Step
from volproc.engine.workers import ClusterWorkers
from volproc.grid.blocks import Tiling

COLUMNS = (
    *("blocks", "workers", "number", "s", "blocks/s", "utilisation"),
    *("CPU ms/block", "MB at a tenth", "MB at most"),
)


@dataclass(frozen=True)
class Sleep:
    """Takes so many seconds."""

    seconds: float

    def load(self, block):
        """Sleep."""
        time.sleep(self.seconds)

    def compute(self, block, loaded):
        """Nothing."""

    def store(self, block, result):
        """Nothing."""


def measured(engine, task, count, *, workers, name):
    """Run `count` blocks and print a row."""
    process = psutil.Process()
    blocks = Tiling((count, 1, 1), (1, 1, 1))
    step = Step(name, task, blocks, "d")
    list(engine.map(Step("warm", Sleep(0), blocks, "d"), blocks[: 2 * workers]))
    began, cpu = time.perf_counter(), sum(process.cpu_times()[:2])
    first, most, done = process.memory_info().rss, 0, 0
    for outcome in engine.map(step, blocks):
        if isinstance(outcome, Outcome):
            done += 1
            if done == count // 10:
                first = process.memory_info().rss
            if done % 500 == 0:
                most = max(most, process.memory_info().rss)
    wall, cpu = time.perf_counter() - began, sum(process.cpu_times()[:2]) - cpu
    assert done == count
    busy = count * task.seconds / (wall * workers)
    print(
        f"| {name} | {workers} | {count} | {wall:.1f} | {count / wall:.1f} | {busy:.1%} | "
        f"{1000 * cpu / count:.2f} | {first / 1e6:.0f} | {max(most, first) / 1e6:.0f} |",
        flush=True,
    )


def main(what):
    """Print a table."""
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    if what == "lengths":
        for workers in (2, 4, 8):
            with local_engine(workers=workers, worker_bytes=10**9) as engine:
                for length, count in (
                    (0.1, 60 * workers),
                    (1.0, 15 * workers),
                    (10.0, 3 * workers),
                ):
                    measured(engine, Sleep(length), count, workers=workers, name=f"{length:g} s")
    elif what == "numbers":
        with local_engine(workers=4, worker_bytes=10**9) as engine:
            for count in (10**3, 10**4, 10**5):
                measured(engine, Sleep(0), count, workers=4, name="empty")
    else:
        how = {"processes": False, "dashboard_address": "127.0.0.1:0", "silence_logs": 40}
        cluster = LocalCluster(n_workers=64, threads_per_worker=1, **how)
        with DaskEngine(ClusterWorkers(cluster), worker_bytes=10**9) as engine:
            measured(engine, Sleep(2.0), 64 * 20, workers=64, name="2 s")


if __name__ == "__main__":
    main(sys.argv[1])
