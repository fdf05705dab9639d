"""The memory limit of a worker, and the check that the projected memory of a step is within it."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from volproc.engine.machine import machine_bytes
from volproc.errors import MemoryLimitError

RESERVED_BYTES = 600 * 2**20
"""For a worker's libraries: 364 MB measured idle, the rest for compiled kernels and their pools."""

GPU_RESERVED_BYTES = 4 * 2**30
"""The same with CUDA, on the host: libraries of torch, cuDNN and cuBLAS, and what the driver keeps.
Users of torch report 1 to 3 GB more. It is a limit and takes nothing: too much of it seldom matters
on a machine with a GPU, too little would end workers. Not measured here yet."""


def share_of_machine(workers: int) -> int:
    """Memory of each of so many workers, which share nine tenths of the machine's."""
    return int(0.9 * machine_bytes() / workers)


def process_peak_bytes() -> int:
    """The peak memory of this process.

    On Linux not from getrusage: there a child starts with what its parent had when it was forked.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        peak = next((line for line in lines if line.startswith("VmHWM:")), None)
        if peak:
            return int(peak.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, else kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def check_memory(
    step: str,
    projected_bytes: int,
    *,
    blocks: int,
    worker_bytes: int,
    reserved: int = RESERVED_BYTES,
    way_out: str = "",
) -> None:
    """MemoryLimitError if `blocks` of `step` in flight and the idle worker need too much."""
    needed = projected_bytes + reserved
    if needed > worker_bytes:
        what = f"a block of {step} needs" if blocks == 1 else f"{blocks} blocks of {step} need"
        fewer = "" if blocks == 1 else f"[cluster] threads fewer than {blocks}, "
        usual = f"make {fewer}the block smaller or [cluster] worker_memory_gb larger"
        raise MemoryLimitError(
            f"{what} {human(needed)} ({human(reserved)} of it for the libraries), a worker has "
            f"{human(worker_bytes)}; {way_out or usual}"
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
