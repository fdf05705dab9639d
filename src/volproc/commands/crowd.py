"""`volproc crowd`."""

from __future__ import annotations

from collections.abc import Sequence

from volproc.commands.runner import LOCAL, runner_for
from volproc.config.running import ClusterOptions
from volproc.engine.events import Watcher
from volproc.stages.crowd.options import CrowdOptions
from volproc.stages.crowd.stage import CrowdSummary, plan_crowd, run_crowd
from volproc.volume.store import open_volume


def crowd(
    truth: str,
    out: str,
    options: CrowdOptions,
    *,
    overwrite: bool = False,
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> CrowdSummary:
    """A classification export of simulated volunteers who saw the labels `truth`, as `out`."""
    volume = open_volume(truth)
    chosen = plan_crowd(volume.info, out, options)
    with runner_for(out, cluster, watchers, overwrite=overwrite) as runner:
        return run_crowd(chosen, runner)
