"""`volproc ingest`."""

from __future__ import annotations

from collections.abc import Sequence

from volproc.commands.runner import LOCAL, runner_for
from volproc.config.running import ClusterOptions
from volproc.engine.events import Watcher
from volproc.stages.ingest.empiar.fetch import FETCH
from volproc.stages.ingest.options import FetchOptions, IngestOptions
from volproc.stages.ingest.stage import plan_ingest, run_ingest
from volproc.volume.store import Volume


def ingest(
    source: str,
    out: str,
    options: IngestOptions,
    *,
    fetch: FetchOptions = FETCH,
    overwrite: bool = False,
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> Volume:
    """The image (or labels) at `source`, as the OME-Zarr volume `out`.

    `source` is a file, a folder of slices, an fsspec URL of either, or an EMPIAR accession.
    """
    chosen = plan_ingest(source, out, options, fetch)
    with runner_for(out, cluster, watchers, overwrite=overwrite) as runner:
        return run_ingest(chosen, runner)
