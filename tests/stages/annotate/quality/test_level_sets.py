import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.drawing import SliceVotes, Stroke, Vote, Window
from volproc.stages.annotate.geometry.rasterisation import fill, paint
from volproc.stages.annotate.quality.level_sets import MAX_SHOWN, inside_counts, level_sets, shown

NM = (10.0, 10.0)
SHAPE = (60, 80)


def box(top, left, bottom, right):
    """A closed line."""
    return Stroke(np.float32([(top, left), (top, right), (bottom, right), (bottom, left)]), True)


def votes_of(*drawn):
    """One volunteer for each list of strokes."""
    votes = tuple(Vote(f"v{n}", tuple(own)) for n, own in enumerate(drawn))
    return SliceVotes(3, (0, 0), SHAPE, votes)


def counted(votes):
    return inside_counts(votes, close_nm=100.0, nm=NM).onto(SHAPE)


rectangles = st.tuples(
    st.integers(0, 25), st.integers(0, 35), st.integers(30, 60), st.integers(40, 80)
)


@given(st.lists(st.lists(rectangles, max_size=3), max_size=6))
def test_each_volunteer_counts_once_where_they_drew_around(crowd):
    expected = np.zeros(SHAPE)
    for own in crowd:
        mask = np.zeros(SHAPE, bool)
        for top, left, bottom, right in own:
            mask[top:bottom, left:right] = True
        expected += mask
    votes = votes_of(*[[box(*one) for one in own] for own in crowd])
    # two nearly equal outlines of one volunteer are one drawn twice: what they hold is one of them
    found = counted(votes)
    assert (found <= expected).all()
    once = votes_of(*[[box(*own[0])] for own in crowd if own])
    single = np.zeros(SHAPE)
    for own in crowd:
        if own:
            top, left, bottom, right = own[0]
            single[top:bottom, left:right] += 1
    np.testing.assert_array_equal(counted(once), single)


@given(st.lists(rectangles, min_size=1, max_size=8))
def test_a_level_is_the_outline_of_what_so_many_hold(crowd):
    counts = inside_counts(votes_of(*[[box(*one)] for one in crowd]), close_nm=100.0, nm=NM)
    whole = counts.onto(SHAPE)
    levels = level_sets(counts, SHAPE)
    assert [level.at_least for level in levels] == list(range(1, int(whole.max()) + 1))
    for level in levels:
        lines = [line for line in level.lines if len(line) > 2]
        inside = paint(fill(lines, shape_yx=SHAPE, rule="even-odd"), Window((0, 0), SHAPE))
        np.testing.assert_array_equal(inside, whole >= level.at_least)


def test_what_stays_open_holds_nothing():
    half = Stroke(np.float32([(10, 10), (10, 60), (40, 60)]))
    assert not counted(votes_of([half], [])).any()
    assert level_sets(inside_counts(votes_of([half]), close_nm=100.0, nm=NM), SHAPE) == ()


@pytest.mark.parametrize("most", [0, 1, 2, 9, 10, 11, 31, 1000])
def test_the_first_and_the_last_level_are_always_shown(most):
    found = shown(most)
    assert len(found) == min(most, MAX_SHOWN)
    assert list(found) == sorted(set(found))
    if most:
        assert (found[0], found[-1]) == (1, most)
