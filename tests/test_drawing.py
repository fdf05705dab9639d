import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from volproc.drawing import Patch, bounding_box

SHAPE = (12, 15)
corners = st.tuples(st.integers(0, 12), st.integers(0, 15))


@given(mask=arrays(np.bool_, st.tuples(st.integers(0, 6), st.integers(0, 6))))
def test_smallest_box_around_all_that_is_true(mask):
    box = bounding_box(mask)
    if box is None:
        assert not mask.any()
        return
    assert mask[box].sum() == mask.sum()
    inside = mask[box]
    assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


@given(
    values=arrays(np.uint8, st.tuples(st.integers(0, 5), st.integers(0, 6))),
    origin=st.tuples(st.integers(0, 7), st.integers(0, 9)),
    a=corners,
    b=corners,
)
def test_a_cut_is_that_part_of_the_region(values, origin, a, b):
    patch = Patch(origin, values)
    start, stop = np.minimum(a, b), np.maximum(a, b)
    expected = patch.onto(SHAPE)[start[0] : stop[0], start[1] : stop[1]]
    np.testing.assert_array_equal(patch.cut(start, stop), expected)
