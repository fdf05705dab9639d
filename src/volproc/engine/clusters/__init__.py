"""The engine that the [cluster] options describe; where Dask workers come from, a file per kind."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, cast

from volproc.config.cluster import ClusterOptions
from volproc.config.devices import why_no_gpu
from volproc.engine.clusters.jobqueue.job_records import end_left_jobs
from volproc.engine.protocol import Engine

HOMES = {"serial": "volproc.engine.serial", "local": f"{__name__}.local_pools"}
"""Modules with `engine(options)`, by kind; of another kind it is `clusters/KIND.py`."""


def gpus_of(cluster: ClusterOptions | Any) -> bool | None:
    """Whether workers elsewhere have GPUs; None where the workers are of this machine."""
    if isinstance(cluster, ClusterOptions):
        return cluster.gpus_elsewhere
    return any(not why for why in cluster.run(why_no_gpu).values())


def engine_of(cluster: ClusterOptions | Any) -> AbstractContextManager[Engine]:
    """The engine for options, or on a Dask client of the caller's; closed at the end.

    Jobs that a client left behind which wrote the same output are ended first. A serial run
    imports no distributed.
    """
    end_left_jobs()
    if not isinstance(cluster, ClusterOptions):
        connect = import_module(f"{__name__}.connect")
        return cast(AbstractContextManager[Engine], connect.on_client(cluster))
    home = import_module(HOMES.get(cluster.kind, f"{__name__}.{cluster.kind}"))
    return cast(AbstractContextManager[Engine], home.engine(cluster))
