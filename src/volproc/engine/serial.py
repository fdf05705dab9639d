"""Every block here, one after another: tests, small volumes, pdb."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from volproc.config.running import ClusterOptions
from volproc.engine.machine import machine_bytes
from volproc.engine.protocol import Engine, Outcomes, Step, Task, do_block
from volproc.grid.blocks import Block


class SerialEngine:
    """The engine without a cluster; same results, no other process."""

    threads = 1

    def __init__(self, *, worker_bytes: int | None = None) -> None:
        self.worker_bytes = worker_bytes or machine_bytes()

    def for_step(self, step: Step) -> SerialEngine:
        """This one."""
        return self

    def map(self, task: Task, blocks: Iterable[Block]) -> Outcomes:
        """One outcome per block, in order."""
        return (do_block(task, block) for block in blocks)


@contextmanager
def engine(options: ClusterOptions) -> Iterator[Engine]:
    """This process alone."""
    yield SerialEngine(worker_bytes=options.worker_bytes)
