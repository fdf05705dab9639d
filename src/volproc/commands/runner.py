"""The engine a command runs on, and where its record is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from volproc.config import ClusterOptions
from volproc.engine.clusters.choose import engine_of
from volproc.engine.progress import JsonLines, Watcher
from volproc.engine.run import Runner
from volproc.lease import holding
from volproc.lease.places import BESIDE

LOCAL = ClusterOptions()
"""Dask workers on this machine, one per core."""


@contextmanager
def runner_for(
    out: str,
    cluster: ClusterOptions,
    watchers: Sequence[Watcher],
    *,
    also: Sequence[str | None] = (),
) -> Iterator[Runner]:
    """A runner whose record and log lie beside `out`; its cluster is closed at the end.

    Meanwhile this process owns `out`, and the outputs in `also`: LeaseError where another one that
    lives does.
    """
    roots = [f"{output.rstrip('/')}{BESIDE}" for output in (out, *also) if output]
    beside = roots[0]
    with holding(*roots), engine_of(cluster) as engine:
        yield Runner(engine, f"{beside}/ledger", (*watchers, JsonLines(f"{beside}/log.jsonl")))
