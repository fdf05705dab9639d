import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.drawing import Stroke
from volproc.stages.annotate.geometry.rasterisation import area, fill
from volproc.stages.annotate.methods.cria.stroke_joining import join_greedy, join_limited

SHAPE = (400, 400)


def circle(centre, radius, start=0.0, end=2 * np.pi):
    """An arc of a circle, a point every two voxels or so."""
    angle = np.linspace(start, end, max(4, int(radius * abs(end - start) / 2)))
    around = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return (np.array(centre) + radius * around).astype(np.float32)


def strokes(*lines):
    return tuple(Stroke(line) for line in lines)


def limited(*lines, limit=30.0, shape=SHAPE, nm=(1.0, 1.0)):
    return join_limited(strokes(*lines), limit_nm=limit, nm=nm, shape_yx=shape)


def size(loops):
    return area(fill(loops, shape_yx=SHAPE, rule="non-zero"))


points = st.tuples(st.integers(0, 40), st.integers(0, 40))
drawings = st.lists(st.lists(points, max_size=4), max_size=7).map(
    lambda lines: strokes(*(np.array(line, np.float32).reshape(-1, 2) for line in lines))
)


def join_slowly(strokes):
    """The nearest two free ends again and again, then each line is followed from its start."""
    lines = [stroke.points.tolist() for stroke in strokes if len(stroke.points)]
    free = [(k, e) for k in range(len(lines)) for e in (0, -1)]
    joined = {}
    while free:
        pairs = [(a, b) for i, a in enumerate(free) for b in free[i + 1 :]]
        apart = [
            sum((p - q) ** 2 for p, q in zip(lines[a[0]][a[1]], lines[b[0]][b[1]]))
            for a, b in pairs
        ]
        a, b = pairs[apart.index(min(apart))]
        joined[a], joined[b] = b, a
        free = [end for end in free if end not in (a, b)]
    loops, seen = [], set()
    for k in range(len(lines)):
        at, loop = (k, 0), []
        while at[0] not in seen:
            seen.add(at[0])
            loop += lines[at[0]][:: 1 if at[1] == 0 else -1]
            at = joined[at[0], -1 if at[1] == 0 else 0]
        loops += [loop] if loop else []
    return loops


@given(drawings)
def test_greedy_joins_the_nearest_free_ends(drawn):
    assert [loop.tolist() for loop in join_greedy(drawn)] == join_slowly(drawn)


@given(drawings)
def test_every_point_is_in_one_closed_line_or_left_open(drawn):
    given_points = sorted(tuple(p) for s in drawn for p in s.points.tolist())
    assert sorted(tuple(p) for loop in join_greedy(drawn) for p in loop.tolist()) == given_points


@given(drawings)
def test_limited_adds_no_point_within_the_image(drawn):
    far = strokes(*(stroke.points + 150 for stroke in drawn))  # away from the border
    joined = join_limited(far, limit_nm=9.0, nm=(1.0, 1.0), shape_yx=SHAPE)
    given_points = {tuple(p) for s in far for p in s.points.tolist()}
    for line in (*joined.loops, *joined.left_open):
        assert {tuple(p) for p in line.tolist()} <= given_points


@given(
    st.lists(st.floats(0.3, 1), min_size=1, max_size=6),
    st.lists(st.booleans(), min_size=6, max_size=6),
    st.randoms(use_true_random=False),
)
def test_an_outline_in_strokes_of_any_order_and_direction_is_whole(shares, turned, random):
    ends = np.cumsum([0, *shares]) / sum(shares) * 2 * np.pi
    arcs = [circle((200, 200), 100, a + 0.03, b - 0.03) for a, b in itertools.pairwise(ends)]
    arcs = [arc[::-1] if turn else arc for arc, turn in zip(arcs, turned)]
    random.shuffle(arcs)
    joined = limited(*arcs)
    assert not joined.left_open
    assert len(joined.loops) == 1
    assert size(joined.loops) == pytest.approx(np.pi * 100**2, rel=0.01)


def test_polygons_are_closed_already():
    square = Stroke(np.float32([[1, 1], [1, 9], [9, 9], [9, 1]]), closed=True)
    near = Stroke(np.float32([[1, 2], [2, 30], [3, 2]]))
    assert join_greedy([square, near])[0] is square.points
    joined = join_limited([square, near], limit_nm=9.0, nm=(1.0, 1.0), shape_yx=SHAPE)
    assert sorted(joined.loops[0].tolist()) == sorted(square.points.tolist())


def test_strokes_of_one_point_or_none_do_no_harm():
    drawn = (np.zeros((0, 2), np.float32), np.float32([[150, 150]]), circle((200, 200), 50))
    assert len(join_greedy(strokes(*drawn))) == 2
    joined = limited(*drawn)
    assert len(joined.loops) == 1
    assert not joined.left_open


@pytest.mark.parametrize(("long", "left"), [(0, 0), (0.8, 1)])
def test_a_stroke_in_one_place_is_no_line(long, left):
    joined = limited(np.float32([[150, 150], [150, 150 + long]]))
    assert (joined.loops, len(joined.left_open)) == ((), left)


def test_two_nuclei_whose_gaps_face_one_another_stay_two():
    """The gaps are wider than the nuclei are apart."""
    left = circle((200, 100), 60, 0.3, 2 * np.pi - 0.3)
    right = circle((200, 230), 60, np.pi + 0.3, 3 * np.pi - 0.3)
    assert len(join_greedy(strokes(left, right))) == 1
    joined = limited(left, right)
    assert len(joined.loops) == 2
    assert size(joined.loops) == pytest.approx(2 * np.pi * 60**2, rel=0.01)


def test_half_an_outline_is_left_open():
    joined = limited(circle((200, 200), 100, 0, np.pi))
    assert not joined.loops
    assert len(joined.left_open) == 1


def test_a_gap_may_be_long_on_a_long_outline():
    joined = limited(circle((200, 200), 100, 0.35, 2 * np.pi - 0.35), limit=30)
    assert len(joined.loops) == 1


def test_halves_with_gaps_are_joined_up_to_the_limit():
    halves = (circle((200, 200), 100, 0.3, np.pi - 0.3), circle((200, 200), 100, 3.44, 5.98))
    assert len(limited(*halves, limit=65).loops) == 1
    assert len(limited(*halves, limit=50).left_open) == 2


def test_longer_gaps_are_closed_where_they_are_a_small_part_of_the_outline():
    halves = (circle((200, 200), 100, 0.1, np.pi - 0.1), circle((200, 200), 100, 3.24, 6.18))
    assert len(limited(*halves, limit=10).loops) == 1


@pytest.mark.parametrize("turn", [1, -1])
def test_a_second_stroke_over_the_first_is_the_same_line(turn):
    again = circle((201, 199), 101, 1, 2 * np.pi)[::turn]
    joined = limited(circle((200, 200), 100, 0.1), again)
    assert len(joined.loops) == 1
    assert not joined.left_open
    assert size(joined.loops) == pytest.approx(np.pi * 100**2, rel=0.01)


@pytest.mark.parametrize("turns", [1.2, 1.9, 2.0, 2.6])
def test_a_stroke_that_goes_round_more_than_once_is_one_outline(turns):
    joined = limited(circle((200, 200), 100, 0, turns * 2 * np.pi))
    assert len(joined.loops) == 1
    assert not joined.left_open
    assert size(joined.loops) == pytest.approx(np.pi * 100**2, rel=0.01)


def test_strokes_that_overlap_by_a_third_of_a_turn_are_one_outline():
    ends = np.array([0, 1.2, 2.67]) * np.pi
    joined = limited(*(circle((200, 200), 100, a, b) for a, b in itertools.pairwise(ends)))
    assert len(joined.loops) == 1
    assert not joined.left_open
    assert size(joined.loops) == pytest.approx(np.pi * 100**2, rel=0.01)


def test_both_sides_of_something_thin_are_not_one_line_drawn_twice():
    top = np.stack([np.full(50, 200.0), np.linspace(100, 300, 50)], axis=1).astype(np.float32)
    joined = limited(top, top + np.float32([8, 0]), limit=30)
    assert len(joined.loops) == 1
    assert size(joined.loops) == pytest.approx(8 * 200, rel=0.02)


def test_an_outline_that_leaves_the_image_is_closed_along_the_border():
    """A circle around a corner of the image: a quarter of it is seen."""
    joined = limited(circle((0, 400), 100, np.pi / 2, np.pi), limit=10)
    assert len(joined.loops) == 1
    assert size(joined.loops) == pytest.approx(np.pi * 100**2 / 4, rel=0.02)
    beyond = ((joined.loops[0] < 0) | (joined.loops[0] > 400)).any(axis=1)
    assert beyond.sum() == 3  # no line is drawn on the border itself


def test_a_band_across_the_image_is_closed_along_both_borders():
    across = np.linspace(0, 400, 80)
    sides = [np.stack([across, np.full(80, x)], axis=1).astype(np.float32) for x in (150.0, 230)]
    joined = limited(*sides)
    assert len(joined.loops) == 1
    assert size(joined.loops) == 80 * 400


def test_gaps_are_measured_in_nm_along_both_axes():
    half = circle((200, 200), 100, 0.3, np.pi - 0.3), circle((200, 200), 100, 3.44, 5.98)
    # the gaps lie along y: twice as long where voxels are twice as high
    assert len(limited(*half, limit=65, nm=(1.0, 1.0)).loops) == 1
    assert not limited(*half, limit=65, nm=(2.0, 1.0)).loops


def test_hundreds_of_strokes_are_joined():
    starts = np.linspace(0, 2 * np.pi, 301)
    arcs = [circle((200, 200), 150, a + 0.002, b - 0.002) for a, b in itertools.pairwise(starts)]
    assert len(join_greedy(strokes(*arcs))) >= 1
    joined = limited(*arcs)
    assert len(joined.loops) == 1
    assert size(joined.loops) == pytest.approx(np.pi * 150**2, rel=0.01)


def bracket(gap, depth, at=0.0, side=1):
    """Three sides of a rectangle; its ends are `gap` apart, at the column `at`."""
    far = at + side * depth
    return np.array([[100, at], [100, far], [100 + gap, far], [100 + gap, at]], np.float32)


@pytest.mark.parametrize(
    ("apart", "loops"), [(2, 1), (9, 1), (11, 2), (15, 2), (19, 2), (21, 2)], ids=str
)
def test_own_ends_count_as_half_as_far_apart(apart, loops):
    """Two brackets of gaps of 20 that face each other: [ ] is one outline or two."""
    drawn = [bracket(20, 30, 100, -1), bracket(20, 30, 100 + apart, 1)]
    assert len(limited(*drawn).loops) == loops
    assert not limited(*drawn).left_open


@pytest.mark.parametrize(
    ("depth", "loops"), [(9, 0), (11, 1), (30, 1)], ids=["too straight", "bent", "long"]
)
def test_ends_farther_apart_than_half_the_line_are_not_joined(depth, loops):
    """A bracket with a gap of 20 is 20 + 2 x depth long."""
    assert len(limited(bracket(20, depth, 100)).loops) == loops


@pytest.mark.parametrize(("gap", "loops"), [(30, 1), (31, 0)])
def test_the_limit_is_a_limit(gap, loops):
    assert len(limited(bracket(gap, 60, 100)).loops) == loops


@pytest.mark.parametrize(("gap", "loops"), [(45, 1), (49, 1), (51, 0), (60, 0)])
def test_longer_gaps_are_closed_up_to_an_eighth_of_the_outline(gap, loops):
    """The bracket is 300 + gap long: 50 are an eighth of the 400 around."""
    assert len(limited(bracket(gap, 150, 100)).loops) == loops


def test_two_that_are_nearly_closed_never_join():
    """Gaps of 16 in 136 and in 116: the first is an outline by itself, less than an eighth open."""
    alone, wide = bracket(16, 60, 100, -1), bracket(16, 60, 102, 1)
    assert len(limited(alone, wide).loops) == 2
    eighth = bracket(16, 56, 100, -1), bracket(16, 56, 102, 1)
    assert len(limited(*eighth).loops) == 2
    assert len(limited(bracket(20, 60, 100, -1), bracket(20, 60, 102, 1)).loops) == 1


def test_lines_keep_their_places_whatever_the_voxels():
    """In voxels of 4 x 2 nm; closed and left open."""
    half, whole = circle((60, 60), 40, 0, np.pi), circle((200, 200), 30)
    found = limited(half / [4, 2], whole / [4, 2], nm=(4.0, 2.0), limit=10.0)
    np.testing.assert_allclose(found.left_open[0] * [4, 2], half, atol=1e-3)
    (loop,) = found.loops
    np.testing.assert_allclose((loop * [4, 2]).mean(axis=0), (200, 200), atol=1)


def wall(x, top=0.0, bottom=400.0):
    """A line down the image, a point every four voxels."""
    y = np.linspace(top, bottom, 101)
    return np.stack([y, np.full_like(y, x)], axis=1).astype(np.float32)


def test_two_lines_across_the_image_are_joined_along_its_border():
    """A band that leaves the image at the top and at the bottom; its sides are 100 voxels apart."""
    joined = limited(wall(150), wall(250)[::-1])
    assert joined.left_open == ()
    assert size(joined.loops) == 400 * 100
    # the ends of a line that stays within the image are not joined along its border
    inner = limited(wall(150, 100, 300), wall(250, 100, 300))
    assert (inner.loops, len(inner.left_open)) == ((), 2)


@pytest.mark.parametrize(
    ("gap", "loops"),
    [(29, 1), (31, 0)],  # the limit is 30
)
def test_ends_up_to_the_limit_are_joined(gap, loops):
    """Two sides of a square of 100 voxels, too straight to be closed one by one."""
    low = np.float32([[100, 100], [100, 200], [200, 200]])
    high = np.float32([[200, 200 - gap], [200, 100], [100 + gap, 100]])
    assert len(limited(low, high).loops) == loops


@pytest.mark.parametrize(
    ("share", "loops"),
    [(0.45, 1), (0.55, 0)],  # ends farther apart than half of the line's length
)
def test_a_line_too_straight_is_not_closed(share, loops):
    """An arc of 24 voxels whose ends are this share of it apart, all within the limit."""
    angle = next(a for a in np.linspace(0.1, 6.2, 2000) if 2 * np.sin(a / 2) / a < share)
    arc = circle((200, 200), 24 / angle, 0, angle)
    assert len(limited(arc).loops) == loops


@pytest.mark.parametrize(("corners", "loops"), [(2, 0), (3, 1)])
def test_a_polygon_has_three_corners_at_least(corners, loops):
    points = np.float32([[100, 100], [100, 200], [180, 150]])[:corners]
    joined = join_limited(
        (Stroke(points, closed=True),), limit_nm=30.0, nm=(1.0, 1.0), shape_yx=SHAPE
    )
    assert (len(joined.loops), joined.left_open) == (loops, ())


@pytest.mark.parametrize("turned", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_joined_strokes_keep_all_their_points(turned):
    """Two arcs of one circle, each drawn either way round: every point once, in order."""
    arcs = circle((200, 200), 60, 0.05, 3.1), circle((200, 200), 60, 3.2, 6.2)
    (loop,) = limited(*(arc[::one] for arc, one in zip(arcs, turned))).loops
    given_points = {tuple(point) for arc in arcs for point in arc.tolist()}
    assert len(loop) == len(given_points)
    assert {tuple(point) for point in loop.tolist()} == given_points
    steps = np.linalg.norm(loop - np.roll(loop, 1, axis=0), axis=1)
    assert steps.max() < 8


@pytest.mark.parametrize(("away", "loops"), [(14, 1), (16, 0)])
def test_ends_within_half_the_limit_of_the_border_leave_the_image(away, loops):
    """The limit is 30 voxels; the sides of the band are 100 apart."""
    sides = (wall(x, away, 400 - away) for x in (150, 250))
    assert len(limited(*sides).loops) == loops


@pytest.mark.parametrize("turned", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_single_ends_at_the_border_are_joined_along_it(turned):
    """Each stroke has one; the gap of the others, 50, is too long until they are one line."""
    upper = np.float32([[100, 0], [100, 250], [125, 250]])
    lower = np.float32([[200, 0], [200, 250], [175, 250]])
    joined = limited(upper[:: turned[0]], lower[:: turned[1]])
    assert (len(joined.loops), joined.left_open) == (1, ())
    assert size(joined.loops) == 100 * 250


@pytest.mark.parametrize(("apart", "again"), [(14, True), (16, False)])
def test_a_stroke_that_goes_on_within_half_the_limit_of_its_start_draws_it_again(apart, again):
    """A circle and a third of a wider one, in one stroke; the limit is 30."""
    once, more = circle((200, 200), 100), circle((200, 200), 100 + apart, 0, 2 * np.pi / 3)
    joined = limited(np.concatenate([once, more]))
    kept = np.concatenate([*joined.loops, *joined.left_open])
    assert (len(kept) < len(once) + 3) == again
    assert (len(kept) == len(once) + len(more)) != again


def test_a_stroke_whose_two_ends_leave_the_image_is_closed_along_its_border():
    """Its ends are 100 apart, more than an eighth of the 700 around; no other point is near."""
    joined = limited(np.float32([[100, 0], [100, 250], [200, 250], [200, 0]]))
    assert (len(joined.loops), joined.left_open) == (1, ())
    assert size(joined.loops) == 100 * 250


@pytest.mark.parametrize(("apart", "left"), [(14, 1), (16, 2)])
def test_a_stroke_within_half_the_limit_of_a_longer_one_repeats_it(apart, left):
    """The limit is 30; no two ends are that near."""
    joined = limited(wall(200, 20, 380), wall(200 + apart, 100, 300))
    assert (joined.loops, len(joined.left_open)) == ((), left)


def test_own_ends_along_the_border_count_half():
    """Bands of 100 and 70 rows that leave the image, 60 apart: more than half of either."""
    bands = ((100, 200), (260, 330))
    strokes = (np.float32([[a, 0], [a, 250], [b, 250], [b, 0]]) for a, b in bands)
    assert sorted(size([loop]) for loop in limited(*strokes).loops) == [70 * 250, 100 * 250]
