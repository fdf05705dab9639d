"""What the engine itself costs: blocks a second, CPU and memory, by workers, length and number.

    python benchmarks/engine_scaling.py lengths             # 0.1, 1, 10 s on 2, 4, 8 workers
    python benchmarks/engine_scaling.py numbers 10000 ...   # so many blocks that do nothing
    python benchmarks/engine_scaling.py many                # 64 workers, in this process

Blocks sleep, so two cores stand for any number of workers. Utilisation is the time that blocks
slept over the time that all threads could have. Client and scheduler are this process. `numbers`
is a step as a run has it, with ledger and log, and prints a row for each tenth of it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from distributed import LocalCluster

from volproc.engine.clusters.local import local_engine
from volproc.engine.distributed import DaskEngine
from volproc.engine.events import BlockDone, JsonLines
from volproc.engine.protocol import Outcome, Step
from volproc.engine.run import Runner
from volproc.engine.workers import ClusterWorkers
from volproc.grid.blocks import Tiling
from volproc.lease import holding

COLUMNS = (
    *("blocks", "workers", "number", "s", "blocks/s", "utilisation"),
    *("CPU ms/block", "MB at a tenth", "MB at most"),
)
OF_TENTHS = "done", "of", "s", "blocks/s", "CPU ms/block", "MB"


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


class Tenths:
    """A watcher that prints a row for each tenth of a step."""

    def __init__(self, count):
        self.count, self.process = count, psutil.Process()
        self.began = self.at = time.perf_counter()
        self.cpu = self._cpu()

    def _cpu(self):
        return sum(self.process.cpu_times()[:2])

    def __call__(self, event):
        """Print a row, if a tenth is done."""
        tenth = self.count // 10
        if not isinstance(event, BlockDone) or event.done % tenth:
            return
        now, cpu = time.perf_counter(), self._cpu()
        cells = (
            *(event.done, self.count, f"{now - self.began:.1f}", f"{tenth / (now - self.at):.1f}"),
            *(f"{1000 * (cpu - self.cpu) / tenth:.2f}", self.process.memory_info().rss // 10**6),
        )
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
        self.at, self.cpu = now, cpu


def tenths(engine, count):
    """Run `count` empty blocks as a step of a run, and print a row for each tenth of them."""
    with tempfile.TemporaryDirectory() as folder, holding(f"{folder}/ledger"):
        watchers = JsonLines(Path(folder) / "log.jsonl"), Tenths(count)
        runner = Runner(engine, Path(folder) / "ledger", watchers=watchers)
        runner.run(Step("empty", Sleep(0), Tiling((count, 1, 1), (1, 1, 1)), "d"))


def main(what, *counts):
    """Print a table."""
    columns = OF_TENTHS if what == "numbers" else COLUMNS
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
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
            for count in map(int, counts or ("10000", "100000")):
                tenths(engine, count)
    else:
        how = {"processes": False, "dashboard_address": "127.0.0.1:0", "silence_logs": 40}
        cluster = LocalCluster(n_workers=64, threads_per_worker=1, **how)
        with DaskEngine(ClusterWorkers(cluster), worker_bytes=10**9) as engine:
            measured(engine, Sleep(2.0), 64 * 20, workers=64, name="2 s")


if __name__ == "__main__":
    main(*sys.argv[1:])
