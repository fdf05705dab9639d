"""`volproc evaluate`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

from volproc.commands.runner import LOCAL, runner_for
from volproc.config import ClusterOptions, EvaluateOptions
from volproc.engine.ledger import digest
from volproc.engine.progress import Watcher
from volproc.stages.evaluate.scores import Scores
from volproc.stages.evaluate.stage import plan_evaluate, run_evaluate
from volproc.volume.store import open_volume


def evaluate(
    result: str,
    options: EvaluateOptions,
    *,
    out: str = "",
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> Scores:
    """Scores of `result` (mask, probability or votes) against `options.truth`; JSON in `out`."""
    found, wanted = open_volume(result), open_volume(options.truth)
    results = {"votes" if found.info.channels else "result": found.info}
    identity = digest(found.identity, wanted.identity)
    chosen = plan_evaluate(results, wanted.info, options, url=out, identity=identity)
    # the result may lie where nothing can be written, and scores without a place need no record
    with (
        tempfile.TemporaryDirectory(prefix="volproc-") as folder,
        runner_for(out or f"{folder}/scores", cluster, watchers) as runner,
    ):
        return run_evaluate(chosen, runner)
