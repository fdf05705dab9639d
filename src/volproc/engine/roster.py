"""Which workers are there now, which of them get blocks, and why the others do not."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from volproc.engine import wire
from volproc.engine.workers import Workers
from volproc.errors import TransientError, VolprocError

LOOK_EVERY_S = 1.0
"""How often the scheduler is asked: workers of a queue come one by one."""

logger = logging.getLogger("volproc")


class Roster:
    """The workers of an engine, as one step sees them."""

    def __init__(self, workers: Workers) -> None:
        self.left_out: dict[str, str] = {}
        """Why a worker gets no blocks, by its address."""
        self._workers = workers
        self._there: Mapping[str, Any] = {}
        self._leaving: frozenset[str] = frozenset()
        self._looked = float("-inf")

    def look(self, block_seconds: float = 0.0) -> None:
        """Ask the scheduler again, unless it was asked a moment ago.

        TransientError where it is gone.
        """
        if time.monotonic() - self._looked < LOOK_EVERY_S:
            return
        client = self._workers.client
        if client.status == "closed":
            raise gone(client)
        self._there = client.scheduler_info(n_workers=-1)["workers"]
        self._leaving = frozenset(self._workers.leaving(block_seconds))
        self._looked = time.monotonic()

    @property
    def there(self) -> Mapping[str, Any]:
        """What the scheduler knows of each worker, by its address."""
        return self._there

    @property
    def usable(self) -> list[str]:
        """Addresses of those that get blocks; VolprocError where all are left out."""
        found = [address for address in self._there if address not in self.left_out]
        if self._there and not found:
            address, why = next(iter(self.left_out.items()))
            raise VolprocError(f"no worker is left for this step: the one at {address}, {why}")
        return [address for address in found if address not in self._leaving]

    @property
    def threads(self) -> int:
        """Blocks that can be at work at once."""
        return sum(self._there[address]["nthreads"] for address in self.usable)

    def places(self, avoid: str = "") -> list[str] | None:
        """Workers that a block may go to, not `avoid` if there are others; None for any."""
        usable = self.usable
        if len(usable) == len(self._there) and not avoid:
            return None
        return [address for address in usable if address != avoid] or usable or None

    def leave_out(self, worker: str, why: str) -> None:
        """Give no more blocks to a worker, and say so once."""
        if worker not in self.left_out:
            self.left_out[worker] = why
            logger.warning("the worker at %s is left out: %s", worker, why)

    def leave_out_misfits(self) -> None:
        """Leave out workers that have other versions, or cannot report theirs."""
        client = self._workers.client
        reported = client.run(wire.load, wire.versions_call(), on_error="return")
        for worker, found in reported.items():
            failed = isinstance(found, Exception)
            why = f"it has {found}" if failed else wire.other_versions(wire.versions(), found)
            if why:
                self.leave_out(worker, why)


def gone(client: Any) -> TransientError:
    """The error where a scheduler no longer answers."""
    return TransientError(
        f"the Dask scheduler at {client.scheduler.address} is gone, or has "
        "dropped this run's blocks; run the same command again: finished blocks are kept"
    )
