"""`volproc check`: a volume looked over, by itself."""

from __future__ import annotations

from collections.abc import Sequence
from tempfile import TemporaryDirectory

from volproc.config.cluster import ClusterOptions
from volproc.credentials import without_secrets
from volproc.engine.clusters import engine_of
from volproc.engine.events import Watcher
from volproc.engine.run import Runner
from volproc.lease import holding
from volproc.lease.neighbours import BESIDE
from volproc.stages.check.findings import Finding
from volproc.stages.check.repair import repair as remove_damaged
from volproc.stages.check.stage import Depth, plan_check, run_check
from volproc.workflow.single_stage import LOCAL


def check(
    url: str,
    *,
    depth: Depth = "samples",
    repair: bool = False,
    ask_ome_zarr: bool = False,
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> tuple[Finding, ...]:
    """All that is wrong with the volume at `url`, errors first; nothing if it is sound.

    "fast" looks at metadata and files, "samples" also reads some blocks of every level and compares
    each level with the one before, "deep" reads every voxel. With `repair` damaged files of a
    volume of volproc are removed, so that the command that made it makes them again.
    With `ask_ome_zarr` the package ome-zarr is asked for a second opinion.
    """
    url = without_secrets(url)
    chosen = plan_check(url, depth=depth, ask_ome_zarr=ask_ome_zarr)
    with TemporaryDirectory() as records, engine_of(cluster) as engine:
        found = run_check(chosen, Runner(engine, records, watchers))
    if repair:
        with holding(f"{url.rstrip('/')}{BESIDE}"):
            remove_damaged(chosen, found)
    return found
