"""What a worker has, and the promise that a block will fit."""

from __future__ import annotations

import os

import psutil

from volproc.engine.protocol import Step
from volproc.errors import MemoryPromiseError

RESERVED_BYTES = 600 * 2**20
"""An idle worker with torch, zarr and numba loaded; measured at 430 to 560 MB."""


def machine_bytes() -> int:
    """Memory of this machine."""
    return int(psutil.virtual_memory().total)


def machine_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_memory(step: Step, *, worker_bytes: int) -> None:
    """MemoryPromiseError if a block of `step` and the idle worker need more than `worker_bytes`."""
    needed = step.peak_bytes + RESERVED_BYTES
    if needed > worker_bytes:
        raise MemoryPromiseError(
            f"a block of {step.name} needs {human(needed)} ({human(RESERVED_BYTES)} of it for the "
            f"libraries), a worker has {human(worker_bytes)}; make the block smaller or "
            "[cluster] worker_memory_gb larger"
        )


def human(count: float) -> str:
    """A number of bytes for people.

    >>> human(34_760_000_000)
    '34.8 GB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
