"""The workers of a Dask scheduler that somebody else started and looks after."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client, Security

from volproc.config.cluster import ClusterOptions
from volproc.engine.clusters.pools import Pools, WorkerPool, at_work
from volproc.engine.distributed import DaskEngine
from volproc.engine.protocol import Engine, Step
from volproc.engine.worker_settings import environment
from volproc.engine.workers import ForeignWorkers
from volproc.errors import ConfigError, VolprocError

CONNECT_WITHIN_S = 30


class ForeignPools(Pools):
    """All workers of one client; those without a GPU are left out of steps that need one."""

    def __init__(self, client: Client, options: ClusterOptions) -> None:
        super().__init__()
        self.client, self._options = client, options

    def pool_for(self, step: Step | None) -> WorkerPool:
        """The workers that are there now: the most blocks in flight on any, the least memory."""
        there = self.client.scheduler_info(n_workers=-1)["workers"].values()
        threads = max((worker["nthreads"] for worker in there), default=1)
        limits = [worker["memory_limit"] for worker in there if worker["memory_limit"]]
        asked = self._options.worker_bytes
        return WorkerPool(threads, min([*limits, *([asked] if asked else [])], default=sys.maxsize))

    def start(self, pool: WorkerPool) -> DaskEngine:
        """The engine on the workers."""
        return DaskEngine(
            ForeignWorkers(self.client),
            worker_bytes=pool.worker_bytes,
            threads=pool.threads,
            environment=environment(1, cores=pool.threads),
        )


@contextmanager
def engine(options: ClusterOptions) -> Iterator[Engine]:
    """The workers of the scheduler at [cluster] address; they stay when volproc goes."""
    with _client(options) as client, on_client(client, options) as engine:
        yield engine


@contextmanager
def on_client(client: Client, options: ClusterOptions | None = None) -> Iterator[Engine]:
    """The workers of a client that the caller owns and closes."""
    with at_work(ForeignPools(client, options or ClusterOptions(kind="connect"))) as engine:
        yield engine


def _client(options: ClusterOptions) -> Client:
    if not options.address:
        raise ConfigError(
            '[cluster] kind = "connect" needs the address of a Dask scheduler, e.g. '
            'address = "tcp://10.0.0.1:8786"'
        )
    try:
        return Client(
            options.address,
            security=_security(options),
            timeout=CONNECT_WITHIN_S,
            set_as_default=False,
        )
    except (OSError, TimeoutError, ValueError) as error:
        raise VolprocError(
            f"no Dask scheduler answers at {options.address} within {CONNECT_WITHIN_S} s "
            f"({' '.join(str(error).split())}); check [cluster] address, and for tls:// the "
            "certificates"
        ) from error


def _security(options: ClusterOptions) -> Security | None:
    if not options.address.startswith("tls://"):
        return None
    needed = {"tls_ca": options.tls_ca, "tls_cert": options.tls_cert, "tls_key": options.tls_key}
    missing = next((name for name, path in needed.items() if not path), "")
    if missing:
        raise ConfigError(f"{options.address} is encrypted: [cluster] {missing} is missing")
    return Security(
        tls_ca_file=options.tls_ca,
        tls_client_cert=options.tls_cert,
        tls_client_key=options.tls_key,
        require_encryption=True,
    )
