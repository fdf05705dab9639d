"""`volproc label`."""

from __future__ import annotations

from collections.abc import Sequence

from volproc.commands.runner import LOCAL, runner_for
from volproc.config.running import ClusterOptions
from volproc.engine.events import Watcher
from volproc.stages.label.options import LabelOptions
from volproc.stages.label.stage import LabelResult, plan_label, run_label
from volproc.volume.store import open_volume


def label(
    mask: str,
    out: str,
    options: LabelOptions,
    *,
    native: str | None = None,
    overwrite: bool = False,
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> LabelResult:
    """The numbered objects of `mask`, and their table; with `native` also on that image's grid."""
    volume = open_volume(mask)
    grid = open_volume(native).info if native else None
    chosen = plan_label(volume.info, out, options, native=grid)
    with runner_for(out, cluster, watchers, overwrite=overwrite) as runner:
        return run_label(chosen, runner)
