"""`volproc measure`."""

from __future__ import annotations

from collections.abc import Sequence

from volproc.commands.runner import LOCAL, runner_for
from volproc.config.running import ClusterOptions
from volproc.engine.events import Watcher
from volproc.stages.measure.options import MeasureOptions
from volproc.stages.measure.stage import MeasureResult, plan_measure, run_measure
from volproc.volume.store import open_volume


def measure(
    labels: str,
    out: str,
    options: MeasureOptions,
    *,
    image: str | None = None,
    votes: str | None = None,
    overwrite: bool = False,
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> MeasureResult:
    """The table of the objects of `labels` in the folder `out`, and their meshes.

    With `image` also their mean intensity, with `votes` the agreement of the axes.
    """
    volumes = [open_volume(url) if url else None for url in (labels, image, votes)]
    objects, grey, axes = volumes
    assert objects is not None
    chosen = plan_measure(
        objects.info,
        out,
        options,
        image=grey.info if grey else None,
        votes=axes.info if axes else None,
    )
    with runner_for(out, cluster, watchers, overwrite=overwrite) as runner:
        return run_measure(chosen, runner)
