import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.stages.annotate.exports import SQUARE, mark_1, mark_2

from volproc.stages.annotate.export.marks import BEZIER_ERROR_PX, BadMark, read_mark, sample_bezier

SIZES = ((100.0, 200.0),)
"""(height, width) of one frame."""
pixels = st.tuples(st.floats(-199, 399, width=32), st.floats(-99, 199, width=32))
lines = st.lists(pixels, min_size=2, max_size=30, unique=True)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2)
    ),
    max_leaves=8,
)


@given(lines)
def test_both_classifiers_say_the_same(line):
    first, second = (read_mark(make(line), sizes=SIZES) for make in (mark_1, mark_2))
    np.testing.assert_array_equal(first.stroke.points, second.stroke.points)
    np.testing.assert_array_equal(first.stroke.points, np.array(line, np.float32)[:, ::-1])
    assert first.stroke.points.dtype == np.float32
    assert not first.stroke.closed
    assert (first.kind, second.kind) == ("freehand (classifier 1)", "freehand (classifier 2)")


@given(
    keys=st.dictionaries(
        st.sampled_from(["tool", "toolIndex", "toolType", "frame", "points", "pathX", "pathY"]),
        json_values | st.sampled_from(["freehandLine", "polygon", "bezier", "rectangle"]),
    ),
    base=st.sampled_from([mark_1(), mark_2(), mark_2(kind="polygon", points=SQUARE), {}]),
    sizes=st.sampled_from([(), SIZES, (None,)]),
)
def test_a_broken_mark_is_a_stroke_or_a_fault(keys, base, sizes):
    try:
        found = read_mark({**base, **keys}, sizes=sizes, bezier_tools=(1,))
    except BadMark:
        return
    points = found.stroke.points
    assert points.dtype == np.float32
    assert len(points) >= 2
    assert np.isfinite(points).all()


@given(
    line=lines, bad=st.lists(st.sampled_from([math.nan, math.inf, -math.inf, None, 1e5, -1e300]))
)
def test_points_that_are_none_are_left_out_up_to_half(line, bad):
    mixed = [*line]
    for n, value in enumerate(bad):
        mixed.insert((7 * n) % len(mixed), (value, 5.0) if n % 2 else (5.0, value))
    if len(bad) > len(line):
        with pytest.raises(BadMark, match=r"far outside|broken coordinates"):
            read_mark(mark_2(mixed), sizes=SIZES)
        return
    found = read_mark(mark_2(mixed), sizes=SIZES)
    assert found.lost == len(bad)
    np.testing.assert_array_equal(found.stroke.points, np.array(line, np.float32)[:, ::-1])


def test_how_far_outside_a_line_may_go():
    at_the_edge = [(-200, -100), (400, 200), (0, 0)]
    assert read_mark(mark_2(at_the_edge), sizes=SIZES).lost == 0
    assert read_mark(mark_2([*at_the_edge, (401, 0)]), sizes=SIZES).lost == 1
    assert read_mark(mark_2([*at_the_edge, (0, 201)]), sizes=SIZES).lost == 1
    assert read_mark(mark_2([*at_the_edge, (0, 201)]), sizes=(None,)).lost == 0


def test_polygons_are_closed_and_bear_no_lost_point():
    polygon = {"toolIndex": 1, "toolType": "polygon", **mark_1()}
    assert read_mark(polygon, sizes=SIZES).stroke.closed
    assert read_mark(mark_1(closed=True), sizes=SIZES).kind == "polygon (classifier 1)"
    with pytest.raises(BadMark, match="far outside"):
        read_mark(mark_1([*SQUARE, (1e5, 0)], closed=True), sizes=SIZES)
    with pytest.raises(BadMark, match="too few points"):
        read_mark(mark_1(SQUARE[:2], closed=True), sizes=SIZES)


def test_freehand_lines_are_closed_where_they_end_as_they_began():
    assert read_mark(mark_2([*SQUARE, SQUARE[0]]), sizes=SIZES).stroke.closed
    assert not read_mark(mark_2([*SQUARE, (10, 10.01)]), sizes=SIZES).stroke.closed
    # classifier 1 says so of every line that it ended itself
    assert not read_mark(mark_1(auto_closed=True), sizes=SIZES).stroke.closed


@pytest.mark.parametrize("points", [[], [(1, 2)], [(1, 2)] * 5])
def test_dots_are_no_lines(points):
    for mark in (mark_1(points), mark_2(points)):
        with pytest.raises(BadMark, match="too few points"):
            read_mark(mark, sizes=SIZES)


@pytest.mark.parametrize(
    ("mark", "fault"),
    [
        (mark_2(kind="rectangle"), "unknown tool"),
        ({"tool": 0, "frame": 0, "x": 3, "y": 4}, "unknown tool"),
        (mark_1(frame=1), "no such frame"),
        (mark_1(frame=-1), "no such frame"),
        (mark_1(frame="0"), "no such frame"),
        (mark_1(points=[]) | {"points": "__import__('os')"}, "broken mark"),
        (mark_1() | {"points": [{"x": 1}]}, "broken mark"),
        (mark_1() | {"points": [{"x": [1], "y": [2]}] * 3}, "broken mark"),
        (mark_2() | {"pathX": [1, 2]}, "broken mark"),
        (mark_2() | {"pathX": None}, "broken mark"),
        (mark_2() | {"pathX": [10**400] * 4}, "broken mark"),
    ],
)
def test_faults(mark, fault):
    with pytest.raises(BadMark, match=fault):
        read_mark(mark, sizes=SIZES)


coordinates = arrays(
    np.float64, st.tuples(st.integers(3, 9), st.just(2)), elements=st.floats(0, 1000)
)


@given(points=coordinates, error=st.floats(0.01, 2))
def test_bezier_curves_stay_within_their_error(points, error):
    anchors = [*points[0::2], *(points[:1] if len(points) % 2 == 0 else [])]
    t = np.linspace(0, 1, 50)[:, None]
    sampled = sample_bezier(points, error=error)
    closed = np.concatenate([sampled, sampled[:1]]) if len(points) % 2 == 0 else sampled
    for a, c, b in zip(anchors, points[1::2], anchors[1:]):
        curve = (1 - t) ** 2 * a + 2 * t * (1 - t) * c + t**2 * b
        assert distances(curve, closed).max() <= error + 1e-6


def distances(points, line):
    """From each point to the nearest place on a line of straight pieces."""
    start, step = line[:-1], np.diff(line, axis=0)
    lengths = np.maximum((step**2).sum(axis=1), 1e-300)
    along = ((points[:, None] - start) * step).sum(axis=2) / lengths
    nearest = start + np.clip(along, 0, 1)[..., None] * step
    return np.sqrt(((points[:, None] - nearest) ** 2).sum(axis=2)).min(axis=1)


def test_a_bezier_circle_of_classifier_1_needs_to_be_named():
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    radius = np.where(np.arange(16) % 2, 40 / np.cos(np.pi / 8), 40)  # controls lie on tangents
    points = [(50 + r * np.cos(a), 50 + r * np.sin(a)) for a, r in zip(angles, radius)]
    curve = read_mark(mark_1(points, tool=3, closed=True), sizes=((100, 100),), bezier_tools=(3,))
    polygon = read_mark(mark_1(points, tool=3, closed=True), sizes=((100, 100),))
    off = [np.abs(np.hypot(*(m.stroke.points - 50).T) - 40).max() for m in (curve, polygon)]
    assert curve.stroke.closed
    assert (
        off[0] < 0.5 + BEZIER_ERROR_PX
    )  # quadratic pieces of an eighth lie that far from a circle
    assert off[1] > 3


@given(coordinates)
def test_bezier_pieces_begin_and_end_at_their_anchors(points):
    assume(len(points) % 2)
    sampled = sample_bezier(points)
    np.testing.assert_allclose(sampled[[0, -1]], points[[0, -1]])
