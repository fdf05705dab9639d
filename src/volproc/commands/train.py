"""`volproc train`."""

from __future__ import annotations

from volproc.lease import holding
from volproc.lease.places import BESIDE
from volproc.model.weights import Card
from volproc.stages.train.loop import Watch
from volproc.stages.train.options import TrainOptions
from volproc.stages.train.stage import plan_train, run_train
from volproc.stages.train.training_sources import held_out_of, sources_of


def train(options: TrainOptions, *, overwrite: bool = False, watch: Watch = lambda _: None) -> Card:
    """The card of a model trained from the volumes in `options`; goes on where it stopped."""
    chosen = plan_train(sources_of(options), options, validation=held_out_of(options))
    for note in chosen.notes:
        watch({"note": note})
    with holding(f"{options.model_out.rstrip('/')}{BESIDE}"):
        if chosen.claim.state == "other":
            watch({"note": f"{options.model_out} is made anew: {chosen.claim.why}"})
        return run_train(chosen, watch=watch, overwrite=overwrite)
