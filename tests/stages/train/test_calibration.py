"""Calibration: the temperature that was hidden is found, and probabilities then are shares."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from volproc.stages.train.calibration import (
    BINS,
    LEVELS,
    LOGITS,
    SPREAD,
    calibration_of,
    expected_error,
    reliability,
)


def voxels_of(temperature: float, seed: int = 0) -> np.ndarray:
    """A histogram of logits that are `temperature` times too large for what is true."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 2, 400_000)
    true = rng.random(logits.shape) < expit(logits)
    levels = np.rint(255 * expit(temperature * logits / SPREAD)).astype(int)
    return np.stack([np.bincount(levels, weights=side, minlength=LEVELS) for side in (~true, true)])


@pytest.mark.parametrize("hidden", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_hidden_is_found(hidden: float) -> None:
    found = calibration_of(voxels_of(hidden))
    assert found.temperature == pytest.approx(hidden, rel=0.03)
    assert found.ece_after < 0.01
    assert found.ece_after <= found.ece_before + 1e-3
    assert (found.ece_before > 0.05) == (hidden != 1.0)
    assert len(found.curve) == BINS
    assert all(abs(p - share) < 0.03 for p, share in found.curve)


def test_levels_stand_for_logits_in_order() -> None:
    assert (np.diff(LOGITS) > 0).all()
    assert LOGITS[128] == pytest.approx(0, abs=0.1)
    middle = slice(1, LEVELS - 1)
    assert np.allclose(expit(LOGITS / SPREAD)[middle] * 255, np.arange(LEVELS)[middle])


def test_the_error_is_the_mean_distance_from_the_diagonal() -> None:
    """Two levels, by hand: half of the voxels are right by 0.1 too much, half by 0.3 too little."""
    table = np.zeros((2, LEVELS))
    low, high = (int(np.abs(expit(LOGITS) - p).argmin()) for p in (0.25, 0.75))
    share = (expit(LOGITS[low]) - 0.1, expit(LOGITS[high]) + 0.2)
    for level, inside in zip((low, high), share):
        table[:, level] = 1 - inside, inside
    assert expected_error(*reliability(table, 1.0)) == pytest.approx(0.15)


def test_a_network_that_is_never_wrong_has_a_temperature_still() -> None:
    table = np.zeros((2, LEVELS))
    table[0, 3] = table[1, 250] = 100
    found = calibration_of(table)
    assert 0.05 <= found.temperature < 1
    assert found.ece_after < found.ece_before
