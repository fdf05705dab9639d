"""What volproc sets on its Dask workers, whatever starts them."""

from __future__ import annotations

from typing import Any

DASK: dict[str, Any] = {
    # Blocks are sized to fit: spilling would only hide that one does not.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": 0.85,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.scheduler.allowed-failures": 10,
    # compiling a network can hold a worker's event loop for minutes
    "distributed.scheduler.worker-ttl": "10 minutes",
    "distributed.comm.timeouts.connect": "60s",
    # Of each connection, so of each worker, Dask keeps as many messages, which have tasks in them.
    "distributed.admin.low-level-log-length": 50,
    # Nobody looks at what workers report of GPUs, and a slow driver would hold them up.
    "distributed.diagnostics.nvml": False,
}
"""Dask's configuration, of scheduler and workers."""

ALLOCATOR = {
    # Freed memory is kept for the next block: by default every array is taken from the system and
    # given back, and its pages being cleared was up to a third of a worker's time. Only the main
    # arena can keep arrays of 64 MB.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
}
THREADS = ("ZARR_THREADING__MAX_WORKERS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def environment(workers: int, *, cores: int) -> dict[str, str]:
    """The environment of each of so many worker processes that share `cores`.

    Together they have one thread per core to decode and to multiply.

    >>> environment(2, cores=16)["OMP_NUM_THREADS"]
    '8'
    """
    each = str(max(1, cores // workers))
    return {
        **ALLOCATOR,
        **dict.fromkeys((*THREADS, "OPENBLAS_NUM_THREADS"), each),
        # Handing threads a shard's chunks one by one took a fifth of writing.
        "ZARR_CODEC_PIPELINE__BATCH_SIZE": "256",
    }


def dask_environment() -> dict[str, str]:
    """Dask's configuration as environment variables, for workers that others start.

    >>> dask_environment()["DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"]
    '10'
    """
    return {
        "DASK_" + name.upper().replace("-", "_").replace(".", "__"): str(value)
        for name, value in DASK.items()
    }
