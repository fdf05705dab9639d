"""`volproc predict`."""

from __future__ import annotations

from collections.abc import Sequence

from volproc.commands.runner import LOCAL, runner_for
from volproc.config.running import ClusterOptions
from volproc.engine.events import Watcher
from volproc.stages.predict.options import PredictOptions
from volproc.stages.predict.stage import plan_predict, run_predict
from volproc.volume.store import Volume, open_volume


def predict(
    image: str,
    out: str,
    options: PredictOptions,
    *,
    votes: str | None = None,
    overwrite: bool = False,
    cluster: ClusterOptions = LOCAL,
    watchers: Sequence[Watcher] = (),
) -> Volume:
    """The fused prediction for `image`, uint8 at the model's voxel size; each axis' in `votes`."""
    volume = open_volume(image, voxel_nm=options.voxel_nm)
    chosen = plan_predict(volume.info, out, options, votes_url=votes)
    with runner_for(out, cluster, watchers, overwrite=overwrite, also=[votes]) as runner:
        return run_predict(chosen, runner)
