"""The engine that the [cluster] options describe; where Dask workers come from, a file per kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from volproc.config.running import ClusterOptions
from volproc.engine.protocol import Engine
from volproc.engine.serial import SerialEngine


@contextmanager
def engine_of(options: ClusterOptions) -> Iterator[Engine]:
    """The engine for `options`, closed at the end."""
    if options.kind == "serial":
        yield SerialEngine(worker_bytes=options.worker_bytes)
        return
    # only here: a serial run needs no distributed
    from volproc.engine.clusters.worker_pools import WorkerPools

    with closing(WorkerPools(options)) as pools:
        try:
            yield pools.usual
        except KeyboardInterrupt:
            pools.kill()  # nobody waits for the blocks in flight
            raise
