"""Blocks on Dask workers: one task each, a few in flight per worker, no more on the scheduler."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, Self

from distributed import Client, Future, as_completed

from volproc.engine.protocol import Outcome, Outcomes, Step, Task, do_block
from volproc.grid.blocks import Block

IN_FLIGHT_PER_THREAD = 2
"""One block at work and one waiting: a worker is kept busy, the scheduler's memory flat."""


class DaskEngine:
    """An engine on any Dask cluster. A context manager: leaving it closes the cluster.

    A worker that dies has its blocks done again by another; one block that kills
    workers time and again (`distributed.scheduler.allowed-failures`) becomes a failed block.
    """

    def __init__(self, cluster: Any, *, worker_bytes: int, threads: int = 1) -> None:
        self.cluster = cluster
        self.client = Client(cluster)
        self.worker_bytes = worker_bytes
        self.threads = threads

    def for_step(self, step: Step) -> DaskEngine:
        """This one."""
        return self

    def map(self, task: Task, blocks: Iterable[Block]) -> Outcomes:
        """One outcome per block, as they come."""
        waiting = iter(blocks)
        sent: dict[Future, Block] = {}

        def send(block: Block) -> Future:
            # The task travels with each block: kept on one worker, it would die with it.
            future = self.client.submit(do_block, task, block, pure=False)
            sent[future] = block
            return future

        running = as_completed([send(b) for b in islice(waiting, self._in_flight())])
        try:
            for future in running:
                if future.status in ("pending", "lost"):
                    # Its worker died between finishing it and handing over the record: the
                    # scheduler has it done again.
                    running.add(future)
                    continue
                block = sent.pop(future)
                if future.status == "finished":
                    yield future.result()
                else:
                    yield Outcome(block, failure="its worker died every time; too little memory?")
                for following in islice(waiting, 1):
                    running.add(send(following))
        finally:
            self.client.cancel(list(sent))

    def _in_flight(self) -> int:
        threads: int = sum(self.client.nthreads().values())
        return max(2, IN_FLIGHT_PER_THREAD * threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the workers go; they are gone when this returns."""
        self.client.close()
        self.cluster.close()
