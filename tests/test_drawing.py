import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from volproc.drawing import Patch, Window, bounding_box

SHAPE = (12, 15)
corners = st.tuples(st.integers(0, 12), st.integers(0, 15))


@given(mask=arrays(np.bool_, st.tuples(st.integers(0, 6), st.integers(0, 6))))
def test_smallest_box_around_all_that_is_true(mask):
    found = bounding_box(mask)
    if found is None:
        assert not mask.any()
        return
    box = found.slices
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
    start, stop = (tuple(map(int, f(a, b))) for f in (np.minimum, np.maximum))
    expected = patch.onto(SHAPE)[start[0] : stop[0], start[1] : stop[1]]
    np.testing.assert_array_equal(patch.cut(Window(start, stop)), expected)


@given(a=corners, b=corners, c=corners, d=corners)
def test_windows_join_to_the_smallest_that_holds_both(a, b, c, d):
    one, other = (
        Window(*(tuple(map(int, f(*ends))) for f in (np.minimum, np.maximum)))
        for ends in ((a, b), (c, d))
    )
    both = one.join(other)
    assert both.start == tuple(map(min, one.start, other.start))
    assert both.stop == tuple(map(max, one.stop, other.stop))
