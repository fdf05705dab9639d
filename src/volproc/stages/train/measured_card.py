"""What a card says of a network once it is trained: scores, how far it sees, greys it learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from volproc.errors import ModelError
from volproc.model.measured_halo import measured_halo
from volproc.model.normalisation import grey_quantiles
from volproc.model.weights import Card, PlaneNetwork
from volproc.stages.train.plan import TrainPlan
from volproc.stages.train.training_sources import Source
from volproc.stages.volume_sample import volume_sample
from volproc.volume.store import Volume


def measured(plan: TrainPlan, network: PlaneNetwork, scores: Mapping[str, float]) -> Card:
    """The plan's card with the scores, the halo that was measured and the quantiles of greys."""
    found: dict[str, Any] = {"grey_quantiles": greys_of(plan.sources)}
    with suppress(ModelError):  # a network of few steps may output one value for all noise
        found["measured_halo"] = measured_halo(network, name=plan.options.name)
    return plan.card(scores).model_copy(update=found)


def greys_of(sources: Sequence[Source]) -> tuple[float, ...]:
    """Quantiles of the normalised greys, the mean of images by how often they are drawn."""
    each = [grey_quantiles(volume_sample(Volume(source.image))) for source in sources]
    mean = np.average(each, axis=0, weights=[source.weight for source in sources])
    return tuple(round(float(value), 4) for value in mean)
