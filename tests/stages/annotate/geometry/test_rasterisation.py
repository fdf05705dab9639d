from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.draw import polygon2mask

from volproc.drawing import Window
from volproc.stages.annotate.geometry.rasterisation import (
    area,
    bounds,
    fill,
    overlap,
    paint,
    weighted_sum,
)

SHAPE = (7, 9)

# quarters of voxels, beyond the image too: many points and lines meet centres of voxels exactly
coordinates = st.integers(-12, 48).map(lambda quarters: quarters / 4)
lines = st.lists(st.tuples(coordinates, coordinates), max_size=7).map(
    lambda points: np.array(points, dtype=np.float32).reshape(-1, 2)
)
loops = st.lists(lines, max_size=3)
rules = st.sampled_from(["even-odd", "non-zero"])


def turns(loop, y, x):
    """How often a closed line turns around a place, in exact numbers; lines through it count."""
    total = 0
    points = [(Fraction(float(a)), Fraction(float(b))) for a, b in loop]
    for (y0, x0), (y1, x1) in zip(points, points[1:] + points[:1]):
        side = (x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)
        if y0 <= y < y1 and side >= 0:
            total += 1
        if y1 <= y < y0 and side <= 0:
            total -= 1
    return total


def inside(loops, rule, shape=SHAPE):
    """The mask, voxel by voxel."""
    half = Fraction(1, 2)
    count = [
        [sum(turns(loop, y + half, x + half) for loop in loops) for x in range(shape[1])]
        for y in range(shape[0])
    ]
    return np.array(count) % 2 == 1 if rule == "even-odd" else np.array(count) != 0


def filled(loops, rule, shape=SHAPE):
    return paint(fill(loops, shape_yx=shape, rule=rule), Window((0, 0), shape))


@given(loops, rules)
def test_a_voxel_is_inside_if_the_lines_turn_around_its_centre(loops, rule):
    assert (filled(loops, rule) == inside(loops, rule)).all()


@given(loops, rules)
def test_runs_are_in_order_within_the_image_and_never_touch(loops, rule):
    runs = fill(loops, shape_yx=SHAPE, rule=rule)
    assert (runs[:, 1] < runs[:, 2]).all()
    assert ((runs >= 0) & (runs <= [SHAPE[0] - 1, SHAPE[1], SHAPE[1]])).all()
    same_row = np.diff(runs[:, 0]) == 0
    assert (np.diff(runs[:, 0]) >= 0).all()
    assert (runs[1:, 1] > runs[:-1, 2])[same_row].all()


@given(st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=3), coordinates)
def test_neighbours_share_no_voxel_and_leave_none_out(corners, place):
    """A triangle cut in two along a line from a corner."""
    a, b, c = np.array(corners, dtype=np.float32)
    middle = np.float32([(b + c) / 2])[0]
    whole = filled([np.stack([a, b, middle, c])], "non-zero")
    parts = [filled([np.stack(part)], "non-zero") for part in ((a, b, middle), (a, middle, c))]
    assert not (parts[0] & parts[1]).any()
    assert ((parts[0] | parts[1]) == whole).all()


@given(loops, loops)
def test_counts_equal_those_of_masks(one, other):
    a, b = (fill(some, shape_yx=SHAPE, rule="even-odd") for some in (one, other))
    mask_a, mask_b = filled(one, "even-odd"), filled(other, "even-odd")
    assert area(a) == mask_a.sum()
    assert overlap(a, b) == overlap(b, a) == (mask_a & mask_b).sum()
    total = weighted_sum([a, b], [1.0, 0.25], Window((0, 0), SHAPE))
    assert (total == mask_a + 0.25 * mask_b).all()


@given(loops)
def test_a_box_holds_all_that_is_inside(loops):
    runs = fill(loops, shape_yx=SHAPE, rule="non-zero")
    window = bounds([runs])
    part = weighted_sum([runs], [1.0], window)
    assert part.sum() == area(runs)
    assert (part == paint(runs, window)).all()
    if part.size:
        assert part[0].any()
        assert part[-1].any()
        assert part[:, 0].any()
        assert part[:, -1].any()


@given(loops, st.integers(-3, 9), st.integers(-3, 9))
def test_only_the_part_in_a_box_is_painted(loops, y, x):
    runs = fill(loops, shape_yx=SHAPE, rule="non-zero")
    part = paint(runs, Window((y, x), (y + 4, x + 5)))
    around = np.pad(filled(loops, "non-zero"), 12)
    assert (part == around[y + 12 : y + 16, x + 12 : x + 17]).all()
    assert (weighted_sum([runs], [1.0], Window((y, x), (y + 4, x + 5))) == part).all()


@pytest.mark.parametrize("seed", range(5))
def test_another_library_fills_the_same_voxels(seed):
    """scikit-image takes centres at whole numbers; nothing lies on a line here."""
    line = np.random.default_rng(seed).uniform(-5, 45, (11, 2)).astype(np.float32)
    expected = polygon2mask((40, 50), line.astype(float) - 0.5)
    assert (filled([line], "even-odd", (40, 50)) == expected).all()


def test_a_line_drawn_twice_cancels_only_by_the_even_odd_rule():
    square = np.float32([[1, 1], [1, 6], [6, 6], [6, 1]])
    assert not filled([square, square], "even-odd").any()
    assert filled([square, square], "non-zero").sum() == 25


def test_nothing_drawn_is_nothing_inside():
    assert fill([], shape_yx=SHAPE, rule="even-odd").shape == (0, 3)
    assert fill([np.zeros((0, 2), np.float32)], shape_yx=SHAPE, rule="even-odd").shape == (0, 3)
    assert bounds([]) == Window((0, 0), (0, 0))
