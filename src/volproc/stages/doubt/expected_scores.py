"""Precision and recall that a run can expect, with intervals, without a ground truth.

precision    mean of the objects' probabilities. Its variance is that of their chances (a sum of
             independent ones, Poisson binomial), and how far runs of the fit were off.
recall       found / (found + missed). Missed are estimated from three sources, whose factors are
             fitted: axes that miss objects which the others see (capture and recapture with several
             occasions: Otis, Burnham, White and Anderson, Wildlife Monographs 62, 1978); lumps of
             weak votes that became no object; and what no axis shows, a share of those found.
"""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from volproc.model.doubt_model import Judge

Floats = npt.NDArray[np.float64]

DEVIATIONS = 1.645
"""Of a normal distribution, on either side of the middle nine tenths."""
LEAST_LUMP = 0.25
"""Of the median object's voxels: smaller lumps of weak votes are nothing that was missed."""


class Expected(NamedTuple):
    """A share from 0 to 1 and the interval that holds it nine times out of ten; None: unknown."""

    value: float | None
    low: float | None
    high: float | None


UNKNOWN = Expected(None, None, None)


class Traces(NamedTuple):
    """What is left of objects that were missed: per found object, by axes and as lumps."""

    missed_by_axes: float
    lumps: float


def expected_precision(probability: Floats, judge: Judge) -> Expected:
    """The share of the objects that are right; unknown without objects."""
    n = len(probability)
    if not n:
        return UNKNOWN
    chance = float((probability * (1 - probability)).sum()) / n**2
    return _interval(float(probability.mean()), chance + judge.spread**2)


def expected_recall(probability: Floats, traces: Traces, judge: Judge) -> Expected:
    """The share of the objects that are there which was found; unknown where nothing was."""
    found = float(probability.sum())
    if not found:
        return UNKNOWN
    own = judge.recall
    missed = own.base + own.missed * traces.missed_by_axes + own.lumps * traces.lumps
    value = 1 / (1 + missed)
    return _interval(value, value * (1 - value) / found + own.spread**2)


def traces_of(
    yes: Floats, voxels: npt.NDArray[Any], probability: Floats, lumps: npt.NDArray[Any]
) -> Traces:
    """From the voxels of each object to which each axis says yes, shape (n, axes), and the lumps.

    Objects count by their probability: what is wrong tells nothing of what was missed.
    """
    found = max(float(probability.sum()), 1.0)
    typical = float(np.median(voxels)) if len(voxels) else np.inf
    return Traces(
        missed_by_axes(2 * yes >= voxels[:, None], probability),
        float((lumps >= LEAST_LUMP * typical).sum()) / found,
    )


def missed_by_axes(seen: npt.NDArray[np.bool_], weights: Floats) -> float:
    """Objects missed for each one found, if axes err independently and two of three must see it.

    An axis' chance to see an object is its share of those that all other axes see: these are found
    whatever it says, so what is missing from the table does not bend it. 0 for fewer than three
    axes, where all objects are those that both see.
    """
    axes = seen.shape[1]
    if axes < 3:
        return 0.0
    chances = [_chance(seen, axis, weights) for axis in range(axes)]
    found = 0.0
    for outcome in product((False, True), repeat=axes):
        if sum(outcome) > axes // 2:
            found += float(
                np.prod([c if o else 1 - c for c, o in zip(chances, outcome, strict=True)])
            )
    return (1 - found) / found


def _chance(seen: npt.NDArray[np.bool_], axis: int, weights: Floats) -> float:
    """With one object more that it sees: of none, nothing is known to be missed."""
    others = np.delete(seen, axis, axis=1).all(axis=1)
    both = float(weights[others & seen[:, axis]].sum())
    return (both + 1) / (float(weights[others].sum()) + 1)


def _interval(value: float, variance: float) -> Expected:
    around = DEVIATIONS * float(np.sqrt(variance))
    return Expected(value, max(0.0, value - around), min(1.0, value + around))
