"""The engine that the [cluster] options describe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from volproc.config.running import ClusterOptions
from volproc.engine.protocol import Engine
from volproc.engine.serial import SerialEngine


@contextmanager
def engine_of(options: ClusterOptions) -> Iterator[Engine]:
    """An engine as `options` want it, closed at the end."""
    if options.kind == "serial":
        yield SerialEngine(worker_bytes=options.worker_bytes)
        return
    from volproc.engine.clusters.worker_pools import (
        WorkerPools,  # a serial run needs no distributed
    )

    with closing(WorkerPools(options)) as crews:
        try:
            yield crews
        except KeyboardInterrupt:
            crews.kill()  # nobody waits for the blocks at work
            raise
