import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from volproc.fusion import FUSIONS, count_yes, fuse, level_of, spread

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


@given(votes=votes, data=st.data())
def test_the_weighted_mean_is_numpys_rounded_half_up(votes, data):
    weights = data.draw(
        st.lists(st.floats(0, 5), min_size=len(votes), max_size=len(votes)).filter(
            lambda w: sum(w) > 1e-3
        )
    )
    found = fuse(votes, mode="weighted", threshold=0.5, weights=weights)
    wanted = np.average(votes, axis=0, weights=weights)
    assert np.array_equal(found, np.floor(wanted + 0.5))
    equal = fuse(votes, mode="weighted", threshold=0.5, weights=[2] * len(votes))
    assert np.array_equal(equal, fuse(votes, mode="mean", threshold=0.5))


@given(votes=votes, threshold=thresholds)
def test_who_says_yes_and_how_far_they_are_apart(votes, threshold):
    count = count_yes(votes, threshold=threshold)
    assert np.array_equal(count, (votes >= level_of(threshold)).sum(0))
    assert np.array_equal(count > 0, fuse(votes, mode="union", threshold=threshold) == 255)
    assert np.array_equal(spread(votes), np.ptp(votes.astype(int), axis=0))
    assert (spread(votes)[(count > 0) & (count < len(votes))] > 0).all()


@given(votes=votes, threshold=thresholds)
def test_tensors_are_fused_as_arrays_are(votes, threshold):
    """So votes on a GPU give the bits that numpy gives."""
    how = {"threshold": threshold, "weights": (1, 0.3, 7)[: len(votes)]}
    for mode in (*FUSIONS, "weighted"):
        found = fuse(torch.from_numpy(votes), mode=mode, **how, xp=torch)
        assert found.dtype == torch.uint8
        assert np.array_equal(found.numpy(), fuse(votes, mode=mode, **how))


@given(votes=votes, threshold=thresholds, data=st.data())
def test_a_part_of_the_votes_gives_the_part_of_the_answer(votes, threshold, data):
    ends = [sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2))) for n in votes.shape[1:]]
    part = tuple(slice(a, max(b, a + 1)) for a, b in ends)
    how = {"threshold": threshold, "weights": (1, 0.3, 7)[: len(votes)]}
    for mode in (*FUSIONS, "weighted"):
        whole = fuse(votes, mode=mode, **how)[part]
        if whole.size:
            assert np.array_equal(fuse(votes[(slice(None), *part)], mode=mode, **how), whole)


@given(votes=votes)
def test_one_axis_alone_is_its_own_mean_and_maximum(votes):
    for mode in ("mean", "max"):
        assert np.array_equal(fuse(votes[:1], mode=mode, threshold=0.5), votes[0])


@pytest.mark.parametrize(("threshold", "level"), [(0, 1), (0.5, 128), (1, 255)])
def test_nothing_is_never_foreground(threshold, level):
    assert level_of(threshold) == level
