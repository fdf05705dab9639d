"""What one volunteer draws: each habit alone, told from the strokes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from tests.stages.crowd.shapes import disc

from volproc.stages.crowd.hand_errors import MAX_DEVIATIONS
from volproc.stages.crowd.simulated_votes import draw, mistaken
from volproc.stages.crowd.visible_outlines import STEP_NM, trace
from volproc.stages.crowd.volunteers import KINDS, Habits, Volunteer, volunteers

NM = (10.0, 10.0)
SHAPE = (400, 500)
OUTLINES = trace(disc(SHAPE, (120, 140), 90) | disc(SHAPE, (300, 350), 40), NM)
LARGE, SMALL = ((120.0, 140.0), 90.0), ((300.0, 350.0), 40.0)
PERFECT = Habits(reverse=0, shuffle=0)
slices = st.integers(0, 10_000)


def drawn(habits, *, z=0, outlines=OUTLINES):
    """Strokes of a volunteer of these habits, as points (y, x) in voxels."""
    who = Volunteer(7, habits, seed=1)
    return [s.points for s in draw(outlines, who, z=z, shape_yx=SHAPE, nm=NM).strokes]


def off(points, circle):
    """How far points lie from a circle, in nm."""
    centre, radius = circle
    return np.abs(np.hypot(*(points - centre).T) - radius) * 10


def turns(points, circle):
    """How often a stroke goes round the centre of a circle; negative the other way."""
    angle = np.unwrap(np.arctan2(*(points - circle[0]).T))
    return (angle[-1] - angle[0]) / (2 * np.pi)


@given(z=slices)
def test_without_errors_the_outlines_are_drawn_whole_and_once(z):
    large, small = drawn(PERFECT, z=z)
    for points, circle in ((large, LARGE), (small, SMALL)):
        assert off(points, circle).max() < 10
        assert abs(turns(points, circle)) == pytest.approx(1, abs=0.05)


@given(z=slices, jitter=st.floats(0, 300), offset=st.floats(0, 200), size=st.floats(-0.1, 0.1))
def test_an_honest_drawing_keeps_near_its_place(z, jitter, offset, size):
    habits = replace(PERFECT, jitter_nm=jitter, offset_nm=offset, size=size, strokes=3, gap_nm=300)
    who = Volunteer(7, habits, seed=1)
    vote = draw(OUTLINES[:1], who, z=z, shape_yx=SHAPE, nm=NM)
    farthest = max(off(stroke.points, LARGE).max() for stroke in vote.strokes)
    assert farthest <= who.reach_nm(OUTLINES[0]) + 10  # a voxel for the disc itself


@pytest.mark.parametrize("crowd", ["clean", "typical", "bad"])
def test_honest_people_of_every_crowd_keep_near_the_outline(crowd):
    honest = {"wrong": 0.0, "graffiti": 0.0, "stray": 0.0}
    tree = cKDTree(OUTLINES[0].points)
    for who in volunteers(crowd, seed=2, count=40):
        careful = replace(who, habits=replace(who.habits, **honest))
        vote = draw(OUTLINES[:1], careful, z=5, shape_yx=SHAPE, nm=NM)
        for stroke in vote.strokes:
            far = tree.query(stroke.points * NM)[0].max()
            assert far <= who.reach_nm(OUTLINES[0]) + STEP_NM


def test_jitter_is_as_large_as_it_says():
    habits = replace(PERFECT, jitter_nm=100)
    errors = np.concatenate([off(drawn(habits, z=z)[0], LARGE) for z in range(200)])
    # the part of the displacement across the line, folded: mean |N(0, 100)|, less what is capped
    assert errors.mean() == pytest.approx(100 * np.sqrt(2 / np.pi), rel=0.06)


def test_an_offset_moves_the_whole_drawing():
    habits = replace(PERFECT, offset_nm=100)
    centres = np.array([drawn(habits, z=z)[0].mean(axis=0) - LARGE[0] for z in range(300)]) * 10
    assert centres.std(axis=0) == pytest.approx((100, 100), rel=0.15)
    for z in range(20):
        points = drawn(habits, z=z)[0]
        assert off(points - points.mean(axis=0), ((0, 0), 90)).max() < 15


@given(size=st.floats(-0.1, 0.1))
def test_size_is_one_persons_lasting_error(size):
    for z in (0, 1):
        points = drawn(replace(PERFECT, size=size), z=z)[0]
        away = np.hypot(*(points - LARGE[0]).T)
        assert away.mean() == pytest.approx(90 * (1 + size), rel=0.01)


@given(z=slices)
def test_traced_twice_is_twice_round(z):
    strokes = drawn(replace(PERFECT, double=1), z=z, outlines=OUTLINES[:1])
    assert abs(sum(turns(points, LARGE) for points in strokes)) == pytest.approx(2, abs=0.1)


def test_traced_twice_in_many_strokes():
    habits = replace(PERFECT, double=1, strokes=4)
    found = [drawn(habits, z=z, outlines=OUTLINES[:1]) for z in range(30)]
    assert len({len(strokes) for strokes in found}) > 3
    for strokes in found:
        around = abs(sum(turns(points, LARGE) for points in strokes))
        assert around == pytest.approx(2, abs=0.05 * len(strokes))


@given(z=slices, double=st.sampled_from([0, 1]))
def test_partial_is_one_stroke_of_a_part_also_of_who_goes_round_twice(z, double):
    habits = replace(PERFECT, partial=1, double=double)
    (points,) = drawn(habits, z=z, outlines=OUTLINES[:1])
    assert 0.35 < abs(turns(points, LARGE)) < 0.9


@given(z=slices)
def test_a_missed_fragment_is_never_the_largest(z):
    (points,) = drawn(replace(PERFECT, miss=1), z=z)
    assert off(points, LARGE).max() < 10


@given(z=slices)
def test_a_stray_line_is_closed_and_inside(z):
    *outlines, stray = drawn(replace(PERFECT, stray=1), z=z)
    assert len(outlines) == 2
    assert np.hypot(*(stray - LARGE[0]).T).max() < 0.9 * 90
    assert np.linalg.norm(stray[0] - stray[-1]) < 10


def mistake(z):
    """Which of the two mistakes is drawn on a slice, and how far from it the strokes lie, in nm."""
    points = np.concatenate(drawn(replace(PERFECT, wrong=1), z=z))
    assert off(points, LARGE).mean() > 200
    either = mistaken(OUTLINES[0], (4000, 5000), seed=1)
    far = [cKDTree(wrong.points).query(points * NM)[0].max() for wrong in either]
    return int(np.argmin(far)), min(far)


@given(z=slices)
def test_the_wrong_object_is_the_same_for_all_who_err(z):
    assert mistake(z)[1] < 10


def test_both_mistakes_are_made():
    assert {mistake(z)[0] for z in range(20)} == {0, 1}


@given(z=slices)
def test_graffiti_follow_nothing(z):
    strokes = drawn(replace(PERFECT, graffiti=1), z=z)
    assert 1 <= len(strokes) <= 3
    assert all(len(points) >= 40 for points in strokes)
    assert max(off(points, LARGE).max() for points in strokes) > 50


def test_absent_is_a_vote_without_strokes():
    assert drawn(replace(PERFECT, absent=1)) == []


@given(z=slices)
def test_on_an_empty_slice_only_phantoms_are_drawn(z):
    assert drawn(PERFECT, z=z, outlines=()) == []
    assert drawn(replace(PERFECT, absent=1, wrong=1), z=z, outlines=()) == []
    (points,) = drawn(replace(PERFECT, phantom=1), z=z, outlines=())
    assert len(points) >= 8


def test_how_often_is_as_often_as_it_says():
    habits = replace(PERFECT, absent=0.2, graffiti=0.1, wrong=0.3, phantom=0.4)
    empty = sum(not drawn(habits, z=z, outlines=OUTLINES[:1]) for z in range(1500))
    right = sum(
        any(len(p) > 30 and off(p, LARGE).max() < 10 for p in drawn(habits, z=z))
        for z in range(1500)
    )
    phantoms = sum(bool(drawn(habits, z=z, outlines=())) for z in range(1500))
    assert empty / 1500 == pytest.approx(0.2, abs=0.04)
    assert right / 1500 == pytest.approx(0.4, abs=0.04)
    assert phantoms / 1500 == pytest.approx(0.4, abs=0.04)


def test_strokes_end_where_the_image_does():
    cut_off = trace(disc(SHAPE, (200, 0), 90), NM)
    strokes = drawn(replace(PERFECT, strokes=2), outlines=cut_off)
    assert strokes
    for points in strokes:
        assert points[:, 1].min() > 1
    together = np.concatenate(strokes)
    assert np.ptp(together[:, 0]) > 170


def test_a_drawing_depends_on_person_and_slice_only():
    typical = KINDS["hasty"]
    people = [Volunteer(n, typical, seed=3) for n in range(4)]

    def one(who, z):
        vote = draw(OUTLINES, who, z=z, shape_yx=SHAPE, nm=NM)
        return vote.volunteer, [s.points.tobytes() for s in vote.strokes]

    forth = {(who.index, z): one(who, z) for who in people for z in range(5)}
    back = {(who.index, z): one(who, z) for z in reversed(range(5)) for who in reversed(people)}
    assert forth == back
    assert len({str(drawing) for _, drawing in forth.values()}) > 15
    assert one(replace(people[0], seed=4), 0) != forth[0, 0]


def test_bad_parameters_cannot_push_the_line_farther_than_promised():
    who = Volunteer(0, replace(PERFECT, jitter_nm=100))
    assert who.reach_nm(OUTLINES[0]) == pytest.approx(MAX_DEVIATIONS * 100)
