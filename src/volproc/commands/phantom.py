"""`volproc phantom`."""

from __future__ import annotations

from collections.abc import Sequence

from volproc.commands.runner import LOCAL, runner_for
from volproc.config.running import ClusterOptions
from volproc.engine.events import Watcher
from volproc.stages.phantom.options import PhantomOptions
from volproc.stages.phantom.stage import NucleusRow, plan_phantom, run_phantom


def phantom(
    out: str,
    options: PhantomOptions,
    *,
    overwrite: bool = False,
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> tuple[NucleusRow, ...]:
    """The nuclei of a made volume, written to `out` with their labels at `out`/labels/nuclei."""
    chosen = plan_phantom(out, options)
    with runner_for(out, cluster, watchers, overwrite=overwrite) as runner:
        return run_phantom(chosen, runner)
