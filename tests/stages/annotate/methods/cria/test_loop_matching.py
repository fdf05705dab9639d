import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.drawing import Stroke, Vote
from volproc.stages.annotate.geometry.rasterisation import area
from volproc.stages.annotate.methods.cria.loop_matching import drawn_by, interior, match

SHAPE = (300, 300)


def circle(y, x, radius):
    angle = np.linspace(0, 2 * np.pi, max(8, int(3 * radius)), endpoint=False)
    return (np.array([y, x]) + radius * np.stack([np.sin(angle), np.cos(angle)], 1)).astype("f4")


def loops(*circles, number=0):
    vote = Vote("somebody", tuple(Stroke(circle(*one)) for one in circles))
    drawn = drawn_by(vote, number, close_nm=20.0, nm=(1.0, 1.0), shape_yx=SHAPE)
    return drawn.loops


def matched(*votes):
    found = [loop for n, circles in enumerate(votes) for loop in loops(*circles, number=n)]
    return match(found, [1.0] * len(votes))


LEFT, RIGHT = (150, 90, 40), (150, 210, 30)


@given(st.permutations(range(5)), st.integers(0, 2**32 - 1))
def test_pieces_do_not_depend_on_the_order_of_votes(order, seed):
    slips = np.random.default_rng(seed).normal(0, 2, (5, 2, 3))
    votes = [(np.add(LEFT, slips[n, 0]), np.add(RIGHT, slips[n, 1])) for n in order]
    found = matched(*votes)
    assert len(found) == 2
    assert all(sorted(fragment.seen) == [0, 1, 2, 3, 4] for fragment in found)


def test_two_sections_stay_two_and_each_counts_who_saw_it():
    found = matched((LEFT, RIGHT), (LEFT,), (RIGHT, LEFT), ())
    assert [sorted(fragment.seen) for fragment in found] == [[0, 1, 2], [0, 2]]
    assert all(len(drawn) == 1 for fragment in found for drawn in fragment.seen.values())


def test_one_line_around_both_counts_for_both():
    around = (150, 150, 110)
    large, small = matched((LEFT, RIGHT), (LEFT, RIGHT), (LEFT, RIGHT), (around,))[:2]
    assert 3 in large.seen
    assert 3 in small.seen


def test_something_small_within_a_piece_is_no_piece_and_saw_none():
    nucleolus = (150, 90, 10)
    found = matched((LEFT,), (LEFT, nucleolus), (nucleolus,), (LEFT,))
    assert len(found) == 1
    assert sorted(found[0].seen) == [0, 1, 3]


def test_the_line_most_like_the_others_stands_for_a_piece():
    found = matched((LEFT,), ((150, 90, 42),), ((150, 90, 70),))
    assert found[0].medoid.vote in (0, 1)


def test_votes_of_little_weight_do_not_lead():
    drawn = [loop for n, one in enumerate((LEFT, RIGHT, RIGHT)) for loop in loops(one, number=n)]
    first = [match(drawn, weights)[0].medoid.vote for weights in ([1, 1, 1], [1, 0.1, 0.1])]
    assert first[0] in (1, 2)
    assert first[1] == 0


def test_one_outline_drawn_twice_is_one_loop():
    assert len(loops(LEFT, (151, 91, 40))) == 1
    assert len(loops(LEFT, RIGHT)) == 2


def test_lines_drawn_in_different_senses_do_not_cancel():
    vote = Vote("a", (Stroke(circle(150, 100, 40)), Stroke(circle(150, 150, 40)[::-1])))
    drawn = drawn_by(vote, 0, close_nm=20.0, nm=(1.0, 1.0), shape_yx=SHAPE)
    assert area(interior(drawn.loops, SHAPE)) == pytest.approx(8748, rel=0.01)  # of both together


def test_a_line_that_stays_open_is_told():
    half = Vote("a", (Stroke(circle(150, 150, 60)[:90]),))
    drawn = drawn_by(half, 0, close_nm=20.0, nm=(1.0, 1.0), shape_yx=SHAPE)
    assert len(drawn.left_open) == 1
    assert not drawn.loops


def test_nothing_drawn_is_no_piece():
    assert match([], []) == []
    assert match([], [1.0, 1.0]) == []
