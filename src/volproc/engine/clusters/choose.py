"""The engine that the [cluster] options describe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from volproc.config import ClusterOptions
from volproc.engine.protocol import Engine
from volproc.engine.serial import SerialEngine

GB = 10**9


@contextmanager
def engine_of(options: ClusterOptions) -> Iterator[Engine]:
    """An engine as `options` want it, closed at the end."""
    memory = int(options.worker_memory_gb * GB)
    if options.kind == "serial":
        yield SerialEngine(worker_bytes=memory)
        return
    from volproc.engine.clusters.local import local_engine  # a serial run needs no distributed

    with local_engine(
        workers=options.workers, threads=options.threads, worker_bytes=memory
    ) as engine:
        yield engine
