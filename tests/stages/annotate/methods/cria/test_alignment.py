import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.stages.annotate.geometry.polylines import evenly
from volproc.stages.annotate.methods.cria.alignment import Drawing, matched

STEP = 40.0


def shape(turn=0.0, size=4000):
    """An outline of about 30 um with bays; or of another size."""
    a = np.linspace(0, 2 * np.pi, 700, endpoint=False) + turn
    radius = size * (1 + 0.2 * np.cos(3 * a) + 0.1 * np.sin(7 * a))
    return 10000 + radius[:, None] * np.stack([np.sin(a), np.cos(a)], axis=1)


def match(reference, loops=(), left_open=(), reach=600.0):
    drawing = Drawing.of(loops, left_open, step=STEP)
    return matched(reference, drawing, step=STEP, reach=reach)


def apart(places, expected):
    return np.linalg.norm(places - expected, axis=1)


@given(st.floats(0, 6.3), st.floats(-150, 150), st.floats(-150, 150))
def test_a_moved_outline_is_matched_point_by_point_wherever_it_begins(turn, y, x):
    reference = evenly(shape(size=2000), STEP)
    places = match(reference, [shape(turn, size=2000) + np.array([y, x])])
    assert apart(places, reference + np.array([y, x])).max() < 2.5 * STEP


def test_narrow_bays_are_matched_to_themselves():
    """A bay of 300 nm, drawn 250 nm off: the nearest line is often the wrong one."""
    y = np.concatenate([np.linspace(0, 3000, 60), np.full(8, 3000), np.linspace(3000, 0, 60)])
    x = np.concatenate([np.zeros(60), np.linspace(0, 300, 8), np.full(60, 300)])
    frame = [[0, 5000], [6000, 5000], [6000, -5000], [0, -5000]]
    bay = np.concatenate([np.stack([y, x], axis=1), frame])
    reference = evenly(bay, STEP)
    places = match(reference, [bay + np.array([0, 250])])
    assert apart(places, reference + np.array([0, 250])).max() < 3.5 * STEP


@pytest.mark.parametrize("turn", [1, -1])
def test_half_an_outline_left_open_is_matched_where_it_is_in_either_direction(turn):
    reference = evenly(shape(), STEP)
    half = (shape() + np.array([80, -50]))[:350][::turn]
    places = match(reference, left_open=[half])
    known = np.isfinite(places[:, 0])
    assert 0.45 < known.mean() < 0.6
    assert apart(places[known], reference[known] + [80, -50]).max() < 2 * STEP


@pytest.mark.parametrize("first", [True, False], ids=["scribbled first", "scribbled last"])
def test_a_scribble_does_not_hide_the_outline_whatever_was_drawn_first(first):
    """More points within reach than are looked at: the nearest count, in any order."""
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    around = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    reference = evenly(5000 + 2000 * around, STEP)
    outline, scribble = 5000 + 2050 * around, np.random.default_rng(0).uniform(-500, 500, (60, 2))
    loops = [scribble + np.array([5000, 7000]), outline]
    clean = match(reference, [outline])
    drawn = match(reference, loops if first else loops[::-1])
    assert np.isfinite(drawn).all()
    assert apart(drawn, reference).max() <= apart(clean, reference).max()


def test_what_is_out_of_reach_is_not_matched():
    reference = evenly(shape(), STEP)
    assert np.isnan(match(reference, [shape() + 5000.0])).all()
    assert np.isnan(match(reference)).all()


def test_a_detour_is_left_out_and_the_rest_kept():
    reference = evenly(shape(), STEP)
    detour = shape()
    detour[100:150] += np.linspace(0, 1, 50)[:, None] * [4000, 4000]
    places = match(reference, [detour])
    known = np.isfinite(places[:, 0])
    assert 0.7 < known.mean() < 0.98
    assert np.median(apart(places[known], reference[known])) < STEP


@given(st.integers(3, 60), st.floats(1, 500))
def test_points_are_even_along_a_closed_line(count, step):
    a = np.linspace(0, 2 * np.pi, count, endpoint=False)
    loop = 1000 * np.stack([np.sin(a), np.cos(a)], axis=1)
    points = evenly(loop, step)
    around = np.linalg.norm(loop - np.roll(loop, 1, axis=0), axis=1).sum()
    assert len(points) == max(8, round(around / step))
    assert np.allclose(points[0], loop[0])
    assert (
        np.linalg.norm(points - np.roll(points, 1, axis=0), axis=1).max() < around / len(points) + 1
    )


def test_points_of_a_drawing_know_the_one_before():
    """A closed line goes on at its end; an open one begins anew, once in each direction."""
    square = np.array([[0.0, 0.0], [0.0, 80.0], [80.0, 80.0], [80.0, 0.0]])
    line = np.array([[500.0, 0.0], [500.0, 320.0]])
    drawing = Drawing.of([square], [line], step=40.0)
    there, back = range(8, 17), range(17, 26)
    assert drawing.before.tolist() == [7, *range(7), -1, *there[:-1], -1, *back[:-1]]
    assert np.flatnonzero(drawing.ends).tolist() == [8, 16, 17, 25]
    assert drawing.points[8:17, 1] == pytest.approx(np.arange(0, 321, 40))
    assert (drawing.points[17:] == drawing.points[8:17][::-1]).all()


@pytest.mark.parametrize("first", range(0, 60, 7))
def test_an_outline_smaller_than_the_reach_is_matched_to_itself(first):
    """Every point of the drawing is within reach of every one of the reference."""
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    circle = 250 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    drawing = Drawing.of([circle], [], step=25.0)
    reference = np.roll(drawing.points, -first, axis=0)
    places = matched(reference, drawing, step=25.0, reach=600.0)
    np.testing.assert_array_equal(places, reference)


@pytest.mark.parametrize(("nearer", "matches"), [(159, True), (160, False)])
def test_of_a_hundred_and_sixty_points_the_last_counts(nearer, matches):
    """The reference goes to and fro, and so does a line beside it, with scribbles in between.

    To stay at one point of the scribbles costs 50² a step, to match none 347, the line 14.
    """
    ends = np.array([[0.0, 0.0], [0.0, 50.0]])
    beside = ends + np.array([100, 0])
    scribbles = np.stack([np.linspace(10, 60, nearer), np.full(nearer, 25.0)], axis=1)
    points = np.concatenate([scribbles, beside])
    before = np.array([*[-1] * nearer, nearer + 1, nearer])
    drawing = Drawing(points, before, np.zeros(len(points), dtype=bool))
    places = matched(np.tile(ends, (10, 1)), drawing, step=10.0, reach=600.0)
    expected = beside if matches else np.full_like(ends, np.nan)
    np.testing.assert_array_equal(places, np.tile(expected, (10, 1)))


@pytest.mark.parametrize(("off", "matches"), [(490, True), (505, False)])
def test_a_point_far_off_costs_as_much_as_none(off, matches):
    """None costs 10² + 0.0014 x (0.7 x 600)² a step: as much as a point 498 nm away."""
    ends = np.array([[0.0, 0.0], [0.0, 50.0]])
    drawing = Drawing(ends + np.array([off, 0]), np.array([1, 0]), np.zeros(2, dtype=bool))
    places = matched(np.tile(ends, (100, 1)), drawing, step=10.0, reach=600.0)
    expected = drawing.points if matches else np.full_like(ends, np.nan)
    np.testing.assert_array_equal(places, np.tile(expected, (100, 1)))


@pytest.mark.parametrize(("off", "left_out"), [(46, []), (47, [50, 99])])
def test_to_leave_a_drawing_and_to_come_back_costs_two_leaps_and_a_point(off, left_out):
    """A circle whose second half lies aside, outwards where it begins and ends.

    2 x (3 x 10)² + 347 = 2147: a leap of 46 nm, whose square is 2116, is cheaper.
    """
    angle = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    reference = 800 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    points = reference + np.repeat([[0, 0], [0, off]], 50, axis=0)
    drawing = Drawing(points, np.roll(np.arange(100), 1), np.zeros(100, dtype=bool))
    places = matched(reference, drawing, step=10.0, reach=600.0)
    points[left_out] = np.nan
    np.testing.assert_array_equal(places, points)


@pytest.mark.parametrize(("finer", "follows"), [(4, True), (5, False)])
def test_of_a_finer_drawing_every_fourth_point_is_matched(finer, follows):
    angle = np.linspace(0, 2 * np.pi, 100 * finer, endpoint=False)
    points = 2000 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    drawing = Drawing(points, np.roll(np.arange(len(points)), 1), np.zeros(len(points), dtype=bool))
    places = matched(points[::finer], drawing, step=125.0, reach=600.0)
    assert np.array_equal(places, points[::finer]) == follows
