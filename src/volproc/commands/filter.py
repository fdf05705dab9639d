"""`volproc filter`."""

from __future__ import annotations

from collections.abc import Sequence

from volproc.commands.runner import LOCAL, runner_for
from volproc.config import ClusterOptions, FilterOptions
from volproc.engine.progress import Watcher
from volproc.stages.filter.stage import plan_filter, run_filter
from volproc.volume.store import Volume, open_volume


def filter(
    image: str,
    out: str,
    options: FilterOptions,
    *,
    overwrite: bool = False,
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> Volume:
    """`image` with its grey values filtered, on the same grid."""
    volume = open_volume(image, voxel_nm=options.voxel_nm)
    chosen = plan_filter(volume.info, out, options)
    with runner_for(out, cluster, watchers, overwrite=overwrite) as runner:
        return run_filter(chosen, runner)
