import numpy as np
import pytest

from volproc.model.doubt_model import Judge, Recall
from volproc.stages.doubt.expected_scores import (
    Traces,
    expected_precision,
    expected_recall,
    missed_by_axes,
    traces_of,
)

JUDGE = Judge(
    bias=0,
    hinges=(),
    calibration=((0.0, 0.5),),
    spread=0,
    recall=Recall(missed=2, lumps=0.5, base=0.1, spread=0),
)


def test_precision_is_the_mean_with_the_chance_of_its_objects():
    value, low, high = expected_precision(np.full(100, 0.8), JUDGE)
    assert value == pytest.approx(0.8)
    assert high - value == pytest.approx(1.645 * np.sqrt(0.8 * 0.2 / 100))
    assert value - low == pytest.approx(high - value)
    assert expected_precision(np.array([1.0]), JUDGE) == (1, 1, 1)


def test_recall_counts_what_each_trace_says_is_missed():
    value, low, high = expected_recall(np.ones(10), Traces(0.2, 0.4), JUDGE)
    assert value == pytest.approx(1 / (1 + 0.1 + 0.4 + 0.2))
    assert 0 <= low < value < high <= 1


def test_of_nothing_nothing_is_known():
    assert expected_precision(np.empty(0), JUDGE) == (None, None, None)
    assert expected_recall(np.empty(0), Traces(0, 3), JUDGE) == (None, None, None)


def test_axes_that_err_independently_give_back_what_they_missed():
    """Objects are found where two of three axes see them; the rest is estimated from these."""
    rng = np.random.default_rng(5)
    seen = rng.random((200_000, 3)) < (0.9, 0.8, 0.7)
    found = seen[seen.sum(axis=1) >= 2]
    expected = missed_by_axes(found, np.ones(len(found)))
    assert expected == pytest.approx(len(seen) / len(found) - 1, rel=0.03)


def test_axes_that_see_everything_miss_nothing_and_two_tell_nothing():
    assert missed_by_axes(np.ones((5, 3), bool), np.ones(5)) == 0
    assert missed_by_axes(np.ones((5, 2), bool), np.ones(5)) == 0


def test_only_lumps_of_some_size_count():
    yes, voxels = np.full((3, 3), 100.0), np.full(3, 100.0)
    traces = traces_of(yes, voxels, np.ones(3), np.array([10, 24, 25, 90]))
    assert traces == (0, pytest.approx(2 / 3))
