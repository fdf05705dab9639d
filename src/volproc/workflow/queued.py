"""Runs whose client is a job, and what of a run is in a queue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from volproc.engine.clusters.jobqueue.job_records import state_lines
from volproc.errors import ConfigError
from volproc.lease import holding
from volproc.volume.access import exists
from volproc.workflow.filled import SETTINGS, own
from volproc.workflow.workflow_file import Workflow

if TYPE_CHECKING:
    from volproc.engine.clusters.jobqueue.pool_check import Finding

LEDGER = "ledger"


def submit(options: Workflow, arguments: Sequence[str]) -> str:
    """Submit `volproc run` with these arguments as a job; its number."""
    from volproc.engine.clusters.jobqueue import client_job

    return client_job.submit(options.cluster, own(options, LEDGER), ["run", *arguments])


def cancel(folder: str) -> Iterator[str]:
    """End the client and the jobs of a run, and say so line by line."""
    from volproc.engine.clusters.jobqueue import client_job

    if not exists(f"{folder}/{LEDGER}"):
        raise ConfigError(f"{folder} is not a run's folder: it has no {LEDGER}; see `volproc run`")
    return client_job.cancel(f"{folder}/{LEDGER}")


def in_queue(folder: str) -> list[str]:
    """What the queue says of a run's jobs, in lines; nothing is written."""
    return list(state_lines(f"{folder}/{LEDGER}"))


def is_begun(folder: str) -> bool:
    """Whether a run's client was at work there: before, only its job is known."""
    return exists(f"{folder}/{SETTINGS}")


def check(options: Workflow) -> Iterator[Finding]:
    """What one small job per pool finds."""
    from volproc.engine.clusters.jobqueue import pool_check

    if options.cluster.kind != "jobqueue":
        raise ConfigError(
            f'[cluster] kind = "{options.cluster.kind}": the check sends jobs, so it needs '
            'kind = "jobqueue"'
        )
    root = own(options, LEDGER)
    with holding(root):
        Path(root).mkdir(parents=True, exist_ok=True)
        yield from pool_check.check(options.cluster, root)
