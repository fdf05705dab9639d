import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.stages.annotate.geometry.image_border import Frame

FRAME = Frame((100.0, 60.0), margin_nm=4.0)
places = st.tuples(st.sampled_from("tblr"), st.floats(0.01, 0.99)).map(
    lambda place: {
        "t": (0.0, 60 * place[1]),
        "b": (100.0, 60 * place[1]),
        "l": (100 * place[1], 0.0),
        "r": (100 * place[1], 60.0),
    }[place[0]]
)


def length(line):
    return np.linalg.norm(np.diff(line, axis=0), axis=1).sum()


@given(places, places)
def test_the_way_is_outside_and_as_short_as_the_border_allows(a, b):
    start, end = np.array(a), np.array(b)
    way = FRAME.path(start, end)
    assert ((way <= -4) | (way >= [104, 64])).any(axis=1).all()
    # beyond the border a way is longer by a margin at each end, and by two at each corner
    corners = len(way) - 2
    longest = FRAME.distance(start, end) + 8 * (corners + 1)
    assert length(np.vstack([start, way, end])) <= longest + 1e-6
    assert FRAME.distance(start, end) <= (100 + 60)
    assert np.isclose(FRAME.distance(start, end), FRAME.distance(end, start))


@given(places, places)
def test_the_way_back_is_the_same(a, b):
    forth, back = FRAME.path(np.array(a), np.array(b)), FRAME.path(np.array(b), np.array(a))
    if FRAME.distance(np.array(a), np.array(b)) < 159.9:  # else both ways are as long
        assert np.allclose(forth, back[::-1])


def test_lines_that_end_within_go_straight():
    assert FRAME.path(np.array([50.0, 30.0]), np.array([0.0, 30.0])).shape == (0, 2)


def test_what_ends_near_the_border_or_beyond_leaves_it():
    assert FRAME.leaves(np.array([3.0, 30.0]))
    assert FRAME.leaves(np.array([50.0, 63.0]))
    assert not FRAME.leaves(np.array([5.0, 30.0]))


CORNERS = {  # of the image, and the points on the way around them, from the side before
    (-4, -4): ((100 / 3, 0), (0, 20), (100 / 3, -4), (-4, 20)),
    (-4, 64): ((0, 40), (100 / 3, 60), (-4, 40), (100 / 3, 64)),
    (104, 64): ((200 / 3, 60), (100, 40), (200 / 3, 64), (104, 40)),
    (104, -4): ((100, 20), (200 / 3, 0), (104, 20), (200 / 3, -4)),
}


@pytest.mark.parametrize(("corner", "way"), CORNERS.items())
def test_the_way_around_a_corner(corner, way):
    start, end, first, last = map(np.array, way)
    assert FRAME.path(start, end) == pytest.approx(np.array([first, corner, last]))
    assert FRAME.path(end, start) == pytest.approx(np.array([last, corner, first]))
    assert FRAME.distance(start, end) == pytest.approx(100 / 3 + 20)


@pytest.mark.parametrize(("y", "leaves"), [(4, True), (4.1, False), (95.9, False), (96, True)])
def test_what_ends_within_the_margin_leaves(y, leaves):
    assert FRAME.leaves(np.array([y, 30.0])) == leaves
