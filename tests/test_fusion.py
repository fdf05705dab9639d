import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from volproc.fusion import FUSIONS, fuse, level_of

votes = arrays(np.uint8, st.tuples(st.integers(1, 3), *[st.integers(1, 4)] * 3))
thresholds = st.floats(0, 1)


@given(votes=votes, threshold=thresholds)
def test_every_mode_is_what_its_name_says(votes, threshold):
    yes = votes >= max(1, np.floor(threshold * 255 + 0.5))
    found = {mode: fuse(votes, mode=mode, threshold=threshold) for mode in FUSIONS}
    assert np.array_equal(found["union"] == 255, yes.any(0))
    assert np.array_equal(found["majority"] == 255, yes.mean(0) > 0.5)
    assert np.array_equal(found["max"], votes.max(0))
    assert np.array_equal(found["mean"], np.floor(votes.mean(0) + 0.5))
    assert {a.dtype for a in found.values()} == {np.dtype("uint8")}
    assert set(np.unique(found["union"])) <= {0, 255}


@given(votes=votes)
def test_one_axis_alone_is_its_own_mean_and_maximum(votes):
    for mode in ("mean", "max"):
        assert np.array_equal(fuse(votes[:1], mode=mode, threshold=0.5), votes[0])


@pytest.mark.parametrize(("threshold", "level"), [(0, 1), (0.5, 128), (1, 255)])
def test_nothing_is_never_foreground(threshold, level):
    assert level_of(threshold) == level
