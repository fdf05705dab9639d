"""Tasks on workers write under the lease of the client that sent them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from volproc.engine.protocol import Task
from volproc.grid.blocks import Block
from volproc.lease import Lease, current, under


@dataclass(frozen=True)
class UnderLease:
    """A task that may not write, wherever it runs, once its output has another owner."""

    task: Task
    leases: tuple[Lease, ...]

    def load(self, block: Block) -> Any:
        """As the task does."""
        with under(self.leases):
            return self.task.load(block)

    def compute(self, block: Block, loaded: Any) -> Any:
        """As the task does."""
        with under(self.leases):
            return self.task.compute(block, loaded)

    def store(self, block: Block, result: Any) -> Any:
        """As the task does, if the leases are still held."""
        with under(self.leases):
            return self.task.store(block, result)


def leased(task: Task) -> Task:
    """The task with the leases of this thread; itself where there are none."""
    return UnderLease(task, current()) if current() else task
