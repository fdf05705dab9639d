import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from volproc.stages.predict.orientation import along, back, oriented

axes = st.sampled_from("zyx")


@given(axis=axes, triple=st.tuples(*[st.integers()] * 3))
def test_there_and_back_is_the_identity(axis, triple):
    assert back(axis, along(axis, triple)) == triple
    assert along(axis, triple)[0] == triple["zyx".index(axis)]


@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_a_view_shows_the_planes_of_its_axis(axis):
    values = torch.arange(24).reshape(2, 3, 4)
    view = oriented(values, axis)
    assert view.shape == along(axis, (2, 3, 4))
    assert np.array_equal(view[1], np.take(values.numpy(), 1, axis="zyx".index(axis)))
    view[0, 0, 0] = 99
    assert values[0, 0, 0] == 99
