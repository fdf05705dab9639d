"""Workers in the jobs of a batch system: SLURM, PBS, LSF, Grid Engine, HTCondor, OAR."""

from __future__ import annotations

from contextlib import AbstractContextManager

from volproc.config.cluster import ClusterOptions
from volproc.engine.protocol import Engine


def engine(options: ClusterOptions) -> AbstractContextManager[Engine]:
    """Workers in jobs, which are gone from the queue at the end; ConfigError if none can be sent.

    Dask is imported here only: the record of jobs is read without it.
    """
    from volproc.engine.clusters.jobqueue.job_pools import engine as of_pools

    return of_pools(options)
