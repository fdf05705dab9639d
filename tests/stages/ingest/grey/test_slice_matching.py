import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from volproc.stages.ingest.grey.slice_matching import matched, matching, moments


@pytest.mark.parametrize(("dtype", "low", "high"), [("u1", 0, 255), ("i2", -(2**15), 2**15 - 1)])
def test_saturated_voxels_are_not_counted_and_stay(dtype, low, high):
    """Padding and lost voxels are no grey values; those of floats are."""
    plane = np.array([[low, low, 10, 20], [30, 40, high, high]], dtype)
    assert moments(plane) == pytest.approx((25, np.std([10, 20, 30, 40])))
    assert moments(plane.astype("f4"))[0] == pytest.approx(plane.mean(dtype=float))
    found = matched(plane[None], ((0.5, 20.0),))[0]
    assert found.tolist() == [[low, low, 25, 30], [35, 40, high, high]]
    assert found.dtype == plane.dtype


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2"])
def test_what_was_not_saturated_is_clipped_not_wrapped(dtype):
    ends = np.iinfo(dtype)
    plane = np.array([[ends.min + 1, ends.max - 1]], dtype)[None]
    assert matched(plane, ((1.0, 1000.0),))[0, 0, 1] == ends.max
    assert matched(plane, ((1.0, -1000.0),))[0, 0, 0] == ends.min


def test_values_are_rounded_and_floats_are_not():
    assert matched(np.array([[[3, 5]]], "u1"), ((0.5, 0.0),)).tolist() == [[[2, 2]]]
    assert matched(np.array([[[3, 5]]], "f4"), ((0.5, 0.25),)).tolist() == [[[1.75, 2.75]]]


def test_slices_get_the_median_mean_and_spread():
    table = matching([(100.0, 10.0), (120.0, 20.0), (90.0, 40.0)])
    assert table == ((2.0, -100.0), (1.0, -20.0), (0.5, 55.0))


def test_blank_slices_stay_and_tell_nothing():
    assert matching([(0.0, 0.0), (100.0, 10.0), (7.0, 0.0)]) == ((1, 0), (1, 0), (1, 0))
    assert matching([(0.0, 0.0), (5.0, 0.0)]) == ((1, 0), (1, 0))
    faint = matching([(100.0, 0.5), (100.0, 0.25), (100.0, 1.0)])
    assert faint == ((1.0, 0.0), (2.0, -100.0), (0.5, 50.0))
    assert moments(np.zeros((3, 3), "u1")) == (0, 0)
    assert moments(np.full((3, 3), 255, "u1")) == (0, 0)


@given(arrays("f4", (4, 6, 5), elements=st.floats(0, 1000, width=32)))
def test_matched_slices_have_one_mean_and_spread(values):
    found = [moments(plane) for plane in values]
    table = matching(found)
    good = [(mean, spread) for mean, spread in found if spread > 0]
    if not good or min(spread for _, spread in good) < 1:
        return
    goal = np.median(np.array(good), axis=0)
    for plane, (_, spread) in zip(matched(values, table), found):
        if spread > 0:
            assert moments(plane) == pytest.approx(goal, rel=1e-3, abs=0.1)
