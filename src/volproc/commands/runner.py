"""The engine a command runs on, and where its record is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from volproc.config import ClusterOptions
from volproc.engine.clusters.choose import engine_of
from volproc.engine.progress import JsonLines, Watcher
from volproc.engine.run import Runner

LOCAL = ClusterOptions()
"""Dask workers on this machine, one per core."""


@contextmanager
def runner_for(out: str, cluster: ClusterOptions, watchers: Sequence[Watcher]) -> Iterator[Runner]:
    """A runner whose record and log lie beside `out`; its cluster is closed at the end."""
    beside = f"{out.rstrip('/')}.volproc"
    with engine_of(cluster) as engine:
        log = JsonLines(f"{beside}/log.jsonl")
        with Runner(engine, f"{beside}/ledger", (*watchers, log)).noting_bugs() as runner:
            yield runner
