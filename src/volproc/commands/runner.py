"""The engine a command runs on, and where its record is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from volproc.config.running import ClusterOptions
from volproc.engine.clusters.choose import engine_of
from volproc.engine.events import JsonLines, Watcher
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
    overwrite: bool = False,
    also: Sequence[str | None] = (),
) -> Iterator[Runner]:
    """A runner whose record and log lie beside `out`; its cluster is closed at the end.

    Meanwhile this process owns `out`, and the outputs in `also`: LeaseError where another one that
    lives does. Without `out` nothing is kept. `overwrite` lets it replace what volproc made there
    otherwise.
    """
    if not out:
        with TemporaryDirectory() as folder, engine_of(cluster) as engine:
            yield Runner(engine, folder, watchers)
        return
    roots = [f"{output.rstrip('/')}{BESIDE}" for output in (out, *also) if output]
    beside = roots[0]
    with holding(*roots), engine_of(cluster) as engine:
        log = JsonLines(f"{beside}/log.jsonl")
        own = Runner(engine, f"{beside}/ledger", (*watchers, log), overwrite=overwrite)
        with own.noting_bugs() as runner:
            yield runner
