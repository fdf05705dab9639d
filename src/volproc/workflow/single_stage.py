"""One stage by itself: what its command and its Python function do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from volproc.config.cluster import ClusterOptions
from volproc.config.devices import planned_for
from volproc.config.options import Options
from volproc.credentials import without_secrets
from volproc.engine.clusters import engine_of, gpus_of
from volproc.engine.events import JsonLines, Watcher
from volproc.engine.run import Runner
from volproc.lease import holding
from volproc.lease.neighbours import BESIDE
from volproc.stages.description import Request, Stage
from volproc.workflow.registry import registered

LOCAL = ClusterOptions()
"""Dask workers on this machine, one per core."""


def run_single(
    stage: Stage,
    tables: Mapping[str, Options],
    inputs: Mapping[str, Any],
    outputs: Mapping[str, str],
    *,
    overwrite: bool = False,
    cluster: ClusterOptions | Any = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> Any:
    """The result of a stage with these options, inputs and outputs by name.

    `cluster` is options, or a Dask client of the caller's.
    """
    inputs, outputs = ({n: _public(place) for n, place in d.items()} for d in (inputs, outputs))
    out, *also = (*outputs.values(), "")
    with planned_for(gpus_of(cluster)):
        chosen = stage.plan(
            Request(tables, inputs, outputs, watchers=watchers, stages=registered()),
        )
        with runner_for(out, cluster, watchers, overwrite=overwrite, also=also) as runner:
            return stage.run(chosen, runner)


def _public(place: Any) -> Any:
    return without_secrets(place) if isinstance(place, str) else place


@contextmanager
def runner_for(
    out: str,
    cluster: ClusterOptions | Any,
    watchers: Sequence[Watcher],
    *,
    overwrite: bool = False,
    also: Sequence[str] = (),
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
