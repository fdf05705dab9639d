"""`volproc subjects`."""

from __future__ import annotations

from collections.abc import Sequence

from volproc.commands.runner import LOCAL, runner_for
from volproc.config.running import ClusterOptions
from volproc.engine.events import Watcher
from volproc.stages.subjects.options import SubjectsOptions
from volproc.stages.subjects.stage import plan_subjects, run_subjects
from volproc.volume.store import open_volume


def subjects(
    image: str,
    out: str,
    options: SubjectsOptions,
    *,
    overwrite: bool = False,
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> str:
    """Slices of `image` for volunteers, in the folder `out`; the path of their manifest.csv."""
    volume = open_volume(image)
    chosen = plan_subjects(volume.info, out, options)
    with runner_for(out, cluster, watchers, overwrite=overwrite) as runner:
        return run_subjects(chosen, runner)
