"""How far a network's probabilities can be taken at their word, and the temperature that helps.

Guo et al., On Calibration of Modern Neural Networks, ICML 2017: logits are divided by one number
per class, which is fitted on data that the network did not learn from. No voxel changes sides.

    votes of sigmoid(logit / 4), in 256 levels ─▶ histogram by level of what is true ─▶ temperature
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from volproc.model.card import Calibration
from volproc.model.predictor import Predictor
from volproc.model.weights import PlaneNetwork
from volproc.stages.train.validation import Validator

SPREAD = 4.0
"""Votes are of logits divided by this: 256 levels then reach from -22 to 22, in steps of 0.06."""
LEVELS = 256
BINS = 10
FROM, TO = 0.05, 20.0
"""Between which temperatures are sought."""
Floats = npt.NDArray[np.float64]

# of level 0 and 255 the middle of what is rounded to them
LOGITS: Floats = SPREAD * logit(np.clip(np.arange(LEVELS), 0.25, LEVELS - 1.25) / (LEVELS - 1))


def calibrated(validator: Validator, network: PlaneNetwork) -> Mapping[str, Calibration]:
    """By class, of the votes of all axes together; without classes that nobody annotated."""
    spread = (SPREAD,) * len(validator.classes)
    predict = Predictor(copy.deepcopy(network), validator.device, temperatures=spread)
    tables = np.zeros((len(validator.classes), 2, LEVELS))
    for region in validator.regions:
        for block in region.blocks:
            votes = region.votes(predict, validator.device, block)
            for slab, truths in region.truths(block):
                index = slab.within(block.start).slices
                for n, truth in enumerate(truths):
                    own = votes[(n, slice(None), *index)]
                    tables[n] += sum(_histogram(v, truth.target, truth.weight) for v in own)
    named = zip(validator.classes, tables, strict=True)
    return {name: calibration_of(table) for name, table in named if table.any()}


def calibration_of(table: Floats) -> Calibration:
    """The best temperature for voxels counted by whether they are of the class, and level."""
    temperature = _best_temperature(table)
    before, after = (reliability(table, t) for t in (1.0, temperature))
    return Calibration(
        temperature=temperature,
        ece_before=expected_error(*before),
        ece_after=expected_error(*after),
        curve=tuple((float(p), float(share)) for p, share, n in zip(*after, strict=True) if n),
    )


def reliability(table: Floats, temperature: float) -> tuple[Floats, Floats, Floats]:
    """Of BINS equally wide bins the mean probability, the share that is true, and the voxels."""
    probability = expit(LOGITS / temperature)
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    voxels = table.sum(axis=0)
    counts, sums, true = (
        np.bincount(place, weights=w, minlength=BINS).astype(np.float64)
        for w in (voxels, voxels * probability, table[1])
    )
    safe = np.maximum(counts, 1e-300)
    return sums / safe, true / safe, counts


def expected_error(probability: Floats, share: Floats, voxels: Floats) -> float:
    """The expected calibration error: mean distance of the bins from the diagonal, by voxels."""
    return float((np.abs(probability - share) * voxels).sum() / voxels.sum())


def _best_temperature(table: Floats) -> float:
    """That with the least cross entropy, which has one minimum."""
    outside, inside = table

    def entropy(log_temperature: float) -> float:
        scaled = LOGITS / np.exp(log_temperature)
        return float((inside * np.logaddexp(0, -scaled) + outside * np.logaddexp(0, scaled)).sum())

    bounds = (np.log(FROM), np.log(TO))
    return float(np.exp(minimize_scalar(entropy, bounds=bounds, method="bounded").x).round(4))


def _histogram(
    levels: npt.NDArray[np.uint8], target: npt.NDArray[np.uint8], weight: npt.NDArray[np.uint8]
) -> Floats:
    """(2, LEVELS): by level, the weight of what is not the class, and of what is."""
    part = target / 255.0
    weighed = weight / 255.0
    flat = levels.ravel()
    return np.stack(
        [
            np.bincount(flat, weights=(weighed * side).ravel(), minlength=LEVELS)
            for side in (1 - part, part)
        ]
    )
