"""`volproc annotate`."""

from __future__ import annotations

from collections.abc import Sequence

from volproc.commands.runner import LOCAL, runner_for
from volproc.config import AnnotateOptions, ClusterOptions
from volproc.engine.progress import Watcher
from volproc.stages.annotate.stage import AnnotateResult, plan_annotate, run_annotate
from volproc.volume.store import open_volume


def annotate(
    export: str,
    image: str,
    out: str,
    options: AnnotateOptions,
    *,
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> AnnotateResult:
    """Labels from the drawings in a classification export, on the grid of `image`, as `out`.

    Beside `out`: the envelope, the volunteers' agreement, what to ignore, and a quality page.
    """
    volume = open_volume(image)
    chosen = plan_annotate(export, volume.info, out, options, identity=volume.identity)
    with runner_for(out, cluster, watchers) as runner:
        return run_annotate(chosen, runner)
