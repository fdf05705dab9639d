import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from volproc.stages.scores import nearest
from volproc.stages.scores.nearest import Nearest

NM = (30.0, 10.0, 8.1)
corners = arrays(np.int32, st.tuples(st.integers(1, 12), st.just(3)), elements=st.integers(-4, 9))


@pytest.mark.parametrize("steps", [1, 40, 5000])  # always a tree, both, never a tree
@given(here=corners, there=corners, most=st.sampled_from([20.0, 55.5, np.inf]))
def test_distances_are_those_of_all_pairs(steps, here, there, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest, "MOST_STEPS", steps)
        patch.setattr(nearest, "AT_ONCE", 5)
        found = Nearest(there, nm=NM, most_nm=most).distances(here)
    pairs = np.linalg.norm((here[:, None] - there[None]) * NM, axis=2).min(axis=1)
    assert found.tolist() == pytest.approx(np.minimum(pairs, most).tolist())


def test_nothing_is_as_far_as_can_be():
    none, one = np.empty((0, 2), np.int32), np.zeros((1, 2), np.int32)
    assert Nearest(none, nm=(5, 5), most_nm=70.0).distances(one).tolist() == [70]
    assert Nearest(one, nm=(5, 5), most_nm=70.0).distances(none).tolist() == []
