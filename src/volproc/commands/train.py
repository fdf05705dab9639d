"""`volproc train`."""

from __future__ import annotations

from volproc.config import TrainOptions
from volproc.model.weights import Card
from volproc.stages.train.loop import Watch
from volproc.stages.train.stage import plan_train, run_train, sources_of


def train(options: TrainOptions, *, watch: Watch = lambda _: None) -> Card:
    """The card of a model trained from the volumes in `options`; goes on where it stopped."""
    chosen = plan_train(
        sources_of(options.images, options.labels, options.weights),
        options,
        validation=sources_of(options.validation_images, options.validation_labels),
    )
    return run_train(chosen, watch=watch)
