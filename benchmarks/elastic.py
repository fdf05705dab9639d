"""Workers that come one by one, and a queue that lets wait: what of them is used, and saved.

    python benchmarks/elastic.py             six minutes; the tasks sleep, so few cores are enough

1. Eight workers arrive over 60 s while blocks of 2 s are done: the share of their time in which
   they are at work, from 10 s after the last one came.
2. A step on CPUs of 80 s, then one on GPUs whose workers wait 60 s in the queue: seconds until both
   are done, when the GPU pool is asked for with its first block, and when it is asked for ahead.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from distributed import LocalCluster

from volproc.engine.clusters.pools import Pools, WorkerPool
from volproc.engine.distributed import DaskEngine
from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.engine.workers import ClusterWorkers
from volproc.grid.blocks import Block, Tiling

WORKERS, OVER_S, SETTLED_S = 8, 60.0, 10.0
BLOCKS, ELASTIC_S = 320, 2.0
QUEUE_S, CPU_BLOCKS, GPU_BLOCKS, BLOCK_S = 60.0, 40, 5, 2.0
BYTES = 10**10


@dataclass(frozen=True)
class Sleeper:
    """Sleeps, and tells from when to when."""

    seconds: float

    def load(self, block: Block) -> tuple[float, float]:
        began = time.time()
        time.sleep(self.seconds)
        return began, time.time()

    def compute(self, block: Block, loaded: tuple[float, float]) -> tuple[float, float]:
        return loaded

    def store(self, block: Block, result: tuple[float, float]) -> tuple[float, float]:
        return result


def step(name: str, blocks: int, seconds: float, *, on_gpu: bool = False) -> Step:
    tiling = Tiling(shape=(1, 1, blocks), core=(1, 1, 1))
    return Step(name, Sleeper(seconds), tiling, "d", on_gpu=on_gpu)


def cluster() -> Any:
    return LocalCluster(
        n_workers=0,
        threads_per_worker=1,
        processes=False,
        dashboard_address="127.0.0.1:0",
        silence_logs=50,
    )


def elastic(folder: Path) -> float:
    """The share of their time that all workers are at work, once they are there."""
    workers = ClusterWorkers(cluster())
    with DaskEngine(workers, worker_bytes=BYTES) as engine:
        logging.disable(logging.INFO)
        began = time.time()
        pause = OVER_S / (WORKERS - 1)
        for n in range(WORKERS):
            threading.Timer(n * pause, workers.cluster.scale, [n + 1]).start()
        done = Runner(engine, folder).run(step("blocks", BLOCKS, ELASTIC_S))
    start = began + OVER_S + SETTLED_S
    # the last blocks leave workers idle, which is no matter of how they are used
    end = max(end for _, end in done) - 3 * ELASTIC_S
    busy = sum(max(0.0, min(b, end) - max(a, start)) for a, b in done)
    return busy / (WORKERS * (end - start))


@dataclass(frozen=True)
class Named(WorkerPool):
    name: str


class Queued(Pools):
    """Two pools; the workers of "gpu" come a while after they were asked for."""

    def __init__(self, ask_ahead_s: float) -> None:
        super().__init__()
        self.ask_ahead_s = ask_ahead_s

    def pool_for(self, step: Step | None) -> Named:
        return Named(1, BYTES, "gpu" if step and step.on_gpu else "cpu")

    def start(self, pool: WorkerPool) -> DaskEngine:
        assert isinstance(pool, Named)
        workers = ClusterWorkers(cluster())
        wait = QUEUE_S if pool.name == "gpu" else 0.0
        threading.Timer(wait, workers.cluster.scale, [1]).start()
        return DaskEngine(workers, worker_bytes=BYTES)


def queued(folder: Path, *, ask_ahead_s: float) -> float:
    """Seconds until both steps are done."""
    steps = [
        step("cpu", CPU_BLOCKS, BLOCK_S),
        step("gpu", GPU_BLOCKS, BLOCK_S, on_gpu=True),
    ]
    began = time.monotonic()
    with closing(Queued(ask_ahead_s)) as pools:
        engine = pools.usual
        runner = Runner(engine, folder, (engine.expect(steps),))
        for one in steps:
            runner.run(replace(one))
    return time.monotonic() - began


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        share = elastic(Path(folder, "elastic"))
        print(f"{WORKERS} workers over {OVER_S:.0f} s: {share:.1%} of their time at work")
        late = queued(Path(folder, "late"), ask_ahead_s=0.0)
        early = queued(Path(folder, "early"), ask_ahead_s=QUEUE_S)
        print(
            f"queue wait of {QUEUE_S:.0f} s: {late:.0f} s without look-ahead, {early:.0f} s with "
            f"it, {late - early:.0f} s saved"
        )
