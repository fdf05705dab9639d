"""`volproc interior`."""

from __future__ import annotations

from collections.abc import Sequence

from volproc.commands.runner import LOCAL, runner_for
from volproc.config.running import ClusterOptions
from volproc.engine.events import Watcher
from volproc.stages.interior.labelling import Labelling
from volproc.stages.interior.options import InteriorOptions
from volproc.stages.interior.stage import plan_interior, run_interior
from volproc.stages.label.stage import plan_label, run_label
from volproc.volume.store import Volume, open_volume


def interior(
    envelope: str,
    out: str,
    options: InteriorOptions,
    *,
    overwrite: bool = False,
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> Volume:
    """The nuclei that `envelope` encloses, numbered, each with its envelope."""
    volume = open_volume(envelope)
    chosen = plan_interior(
        volume.info,
        out,
        options,
        labelling=Labelling(plan_label, run_label),
    )
    with runner_for(out, cluster, watchers, overwrite=overwrite) as runner:
        return run_interior(chosen, runner)
