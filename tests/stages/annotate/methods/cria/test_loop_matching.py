import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.drawing import SliceVotes, Stroke, Vote
from volproc.stages.annotate.geometry.rasterisation import area
from volproc.stages.annotate.methods.cria.loop_matching import lines_of, match

SHAPE = (300, 300)


def circle(y, x, radius):
    angle = np.linspace(0, 2 * np.pi, max(8, int(3 * radius)), endpoint=False)
    return (np.array([y, x]) + radius * np.stack([np.sin(angle), np.cos(angle)], 1)).astype("f4")


def lines(strokes, number=0):
    votes = (Vote("nobody"),) * number + (Vote("somebody", strokes),)
    return lines_of(SliceVotes(0, (0, 0), SHAPE, votes), close_nm=20.0, nm=(1.0, 1.0))[number]


def loops(*circles, number=0):
    strokes = tuple(Stroke(circle(*one)) for one in circles)
    return lines(strokes, number=number).loops


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
    assert all(sorted(fragment.by_vote) == [0, 1, 2, 3, 4] for fragment in found)


def test_two_sections_stay_two_and_each_counts_who_saw_it():
    found = matched((LEFT, RIGHT), (LEFT,), (RIGHT, LEFT), ())
    assert [sorted(fragment.by_vote) for fragment in found] == [[0, 1, 2], [0, 2]]
    assert all(len(drawn) == 1 for fragment in found for drawn in fragment.by_vote.values())


def test_one_line_around_both_counts_for_both():
    around = (150, 150, 110)
    large, small = matched((LEFT, RIGHT), (LEFT, RIGHT), (LEFT, RIGHT), (around,))[:2]
    assert 3 in large.by_vote
    assert 3 in small.by_vote


def test_something_small_within_a_piece_is_no_piece_and_saw_none():
    nucleolus = (150, 90, 10)
    found = matched((LEFT,), (LEFT, nucleolus), (nucleolus,), (LEFT,))
    assert len(found) == 1
    assert sorted(found[0].by_vote) == [0, 1, 3]


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
    drawn = lines((Stroke(circle(150, 100, 40)), Stroke(circle(150, 150, 40)[::-1])))
    assert area(drawn.interior) == pytest.approx(8748, rel=0.01)  # of both together


def test_a_line_that_stays_open_is_told():
    drawn = lines((Stroke(circle(150, 150, 60)[:90]),))
    assert len(drawn.left_open) == 1
    assert not drawn.loops
    assert not drawn.says_where


def test_nothing_drawn_is_no_piece():
    assert match([], []) == []
    assert match([], [1.0, 1.0]) == []


def box(y, x, rows=40, columns=40):
    corners = [[y, x], [y, x + columns], [y + rows, x + columns], [y + rows, x]]
    return Stroke(np.float32(corners), closed=True)


def components(*votes):
    found = [loop for n, drawn in enumerate(votes) for loop in lines(drawn, number=n).loops]
    return [sorted(one.by_vote) for one in match(found, [1.0] * len(votes))]


ONE = (box(100, 100),)


@pytest.mark.parametrize(
    ("shift", "found"),
    [
        (26, [[0, 1, 2]]),  # IoU 14 / 66 = 0.212
        (27, [[0, 1], [2]]),  # IoU 13 / 67 = 0.194
    ],
)
def test_a_fifth_in_common_may_mean_the_same(shift, found):
    assert components(ONE, ONE, (box(100, 100 + shift),)) == found


def test_exactly_a_fifth_in_common_is_enough():
    wide = (box(100, 100, columns=60),)
    assert components(wide, wide, (box(100, 140, columns=60),)) == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("inside", "found"),
    [
        (11, [[0, 1]]),  # of 20 columns: it is about the component, but says too little to see it
        (9, [[0, 1], [2]]),
    ],
)
def test_half_of_a_line_inside_belongs_to_the_component(inside, found):
    assert components(ONE, ONE, (box(110, 140 - inside, rows=10, columns=20),)) == found


@pytest.mark.parametrize(
    ("rows", "saw"),
    [(21, [0, 1, 2]), (19, [0, 1])],  # of 40
)
def test_half_of_a_component_around_which_a_line_runs_is_seen(rows, saw):
    """Two boxes in one line, far longer than the component: the overlap (IoU) says nothing."""
    around = (box(60, 100, rows=40 + rows, columns=200),)
    assert components(ONE, ONE, around)[0] == saw


@pytest.mark.parametrize(("shift", "count"), [(13, 1), (14, 2)])  # IoU 0.509 and 0.481
def test_half_in_common_is_one_outline_drawn_twice(shift, count):
    assert len(lines((*ONE, box(100, 100 + shift))).loops) == count


@pytest.mark.parametrize(
    ("strokes", "says"),
    [
        ((), True),
        (ONE, True),
        ((*ONE, Stroke(circle(250, 250, 30)[:45])), True),
        ((Stroke(circle(250, 250, 30)[:45]),), False),
    ],
)
def test_open_lines_alone_do_not_say_where_something_is(strokes, says):
    drawn = lines(strokes)
    assert drawn.says_where == says
    assert len(drawn.left_open) == sum(not one.closed for one in strokes)
