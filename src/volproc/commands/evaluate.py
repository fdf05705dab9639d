"""`volproc evaluate`."""

from __future__ import annotations

from collections.abc import Sequence

from volproc.commands.runner import LOCAL, runner_for
from volproc.config.running import ClusterOptions
from volproc.engine.events import Watcher
from volproc.stages.evaluate.options import EvaluateOptions
from volproc.stages.evaluate.scores import Scores
from volproc.stages.evaluate.stage import plan_evaluate, run_evaluate
from volproc.volume.store import open_volume


def evaluate(
    result: str,
    options: EvaluateOptions,
    *,
    out: str = "",
    overwrite: bool = False,
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> Scores:
    """Scores of `result` (mask, probability or votes) against `options.truth`; JSON in `out`."""
    found, wanted = open_volume(result), open_volume(options.truth)
    results = {"votes" if found.info.channels else "result": found.info}
    chosen = plan_evaluate(results, wanted.info, options, url=out)
    with runner_for(out, cluster, watchers, overwrite=overwrite) as runner:
        return run_evaluate(chosen, runner)
