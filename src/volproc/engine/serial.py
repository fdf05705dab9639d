"""Every block here, one after another: tests, small volumes, pdb."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from volproc.config.cluster import ClusterOptions
from volproc.engine.events import Watcher, nobody
from volproc.engine.machine import machine_bytes
from volproc.engine.protocol import Engine, Outcomes, Step, do_block
from volproc.grid.blocks import Block


class SerialEngine:
    """The engine without a cluster; same results, no other process."""

    threads = 1

    def __init__(self, *, worker_bytes: int | None = None) -> None:
        self.worker_bytes = worker_bytes or machine_bytes()

    def for_step(self, step: Step) -> SerialEngine:
        """This one."""
        return self

    def expect(self, steps: Sequence[Step]) -> Watcher:
        """This process is there."""
        return nobody

    def map(self, step: Step, blocks: Iterable[Block]) -> Outcomes:
        """One outcome per block, in order."""
        assert step.task is not None
        return (do_block(step.task, block) for block in blocks)


@contextmanager
def engine(options: ClusterOptions) -> Iterator[Engine]:
    """This process alone."""
    yield SerialEngine(worker_bytes=options.worker_bytes)
