"""The mean of several drawings of one outline, and how steadily each of them was drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MeanLine:
    """The mean of several lines, and the standard deviation of each from it, in nm."""

    line: Floats
    spreads: Floats


DEGREES = 8.0
"""Of freedom of the t-distribution of slips: the smaller, the less outliers count."""
SLIP_NM = 1500.0
"""Slips this far apart along an outline are independent of each other."""
PRIOR = 4.0
"""A volunteer's skill counts for as many independent slips."""
MIN_SPREAD_NM = 10.0
"""Nobody draws more precisely."""
ROUNDS = 10
"""More change nothing."""


def mean(
    reference: Floats, places: Floats, skills: Floats, *, step: float, quorum: float
) -> MeanLine:
    """The most likely line, from where (n, N, 2) each point of the reference is on n drawings.

                    reference point 0     1     2    ...  N-1
        drawing 0             (y, x)  (y, x)  nan         (y, x)     nan: it has no such point
        drawing n-1           (y, x)  (y, x)  (y, x)      nan
        mean                    ·       ·       ·           ·        weighted down each column

    Slips of each drawing have a spread of their own and the heavy tails of a t-distribution: who
    is steadier counts more, and outliers hardly count. Spreads, and from them the line, are found
    by expectation maximisation (Lange, Little and Taylor, JASA 84:881, 1989), the line's own
    uncertainty included. A short outline tells little of a spread: there the skill counts, as the
    inverse of a variance. Points are left out where the skills of those who have them sum to less
    than the `quorum`.
    """
    known = np.isfinite(places[..., 0])
    values = np.where(known[..., None], places, 0.0)
    counts = np.maximum(known.sum(axis=1), 1)
    independent = counts * step / SLIP_NM
    centre = _median(places, known, skills)
    squares = np.where(known, np.square(values - centre).sum(axis=2), 0.0)
    # y and x are two samples of one variance: hence / 2
    variance = _expected(squares.sum(axis=1) / counts / 2, skills) + MIN_SPREAD_NM**2
    for _ in range(ROUNDS):
        heavy = (DEGREES + 2) / (DEGREES + squares / variance[:, None])
        weights = known * heavy / variance[:, None]
        total = np.maximum(weights.sum(axis=0), 1e-12)
        centre = np.einsum("ij,ijk->jk", weights, values) / total[:, None]
        # 1 / total is the variance of the mean itself, in y and in x: without it who dominates the
        # mean looks steadier than they are, and dominates it even more in the next round
        squares = np.where(known, np.square(values - centre).sum(axis=2) + 2 / total, 0.0)
        slips = (heavy * squares).sum(axis=1) / counts / 2
        prior = PRIOR * _expected(slips, skills)
        variance = (prior + independent * slips) / (PRIOR + independent) + MIN_SPREAD_NM**2
    enough = skills @ known >= quorum
    return MeanLine(centre[enough] if enough.sum() > 2 else reference, np.sqrt(variance))


def _expected(slips: Floats, skills: Floats) -> Floats:
    """Variances inversely proportional to the skills, and of the size of the typical slip."""
    return np.asarray(np.median(slips * skills) / skills)


def _median(places: Floats, known: npt.NDArray[np.bool_], skills: Floats) -> Floats:
    """Per coordinate, half the skill on either side; nan where nothing is known."""
    order = np.argsort(places, axis=0)  # nan comes last
    weights = np.take_along_axis((skills[:, None] * known)[..., None], order, axis=0)
    below = np.cumsum(weights, axis=0)
    half = below[-1] / 2
    # where the skill below is exactly half, the median lies half-way to the next
    low = (below >= half * (1 - 1e-9)).argmax(axis=0)
    high = (below > half * (1 + 1e-9)).argmax(axis=0)
    which = np.take_along_axis(order, np.stack([low, high]), axis=0)
    middle: Floats = np.take_along_axis(places, which, axis=0).mean(axis=0)
    return middle
