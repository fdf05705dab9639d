"""Tasks that carry their owner's leases to the workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from volproc.engine.protocol import Task
from volproc.grid.blocks import Block
from volproc.lease import Lease, current, under


@dataclass(frozen=True)
class UnderLease:
    """A task whose writing is refused, wherever it runs, once its output has another owner."""

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
        """As the task does, while the leases are held."""
        with under(self.leases):
            return self.task.store(block, result)


def leased(task: Task) -> Task:
    """The task with the leases under which this thread works; itself where there are none."""
    return UnderLease(task, current()) if current() else task
