import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from volproc.stages.annotate.quality.slice_quality import SliceQuality
from volproc.stages.charts import (
    STEP_PX,
    Axis,
    bars,
    line,
    outline_path,
    shares,
    strips,
    stroke_path,
)

numbers = st.floats(-1e6, 1e6)


@given(low=numbers, span=st.floats(1e-3, 1e6))
def test_ticks_are_few_round_and_on_the_axis(low, span):
    axis = Axis(low, low + span, 0, 100)
    assert 1 <= len(axis.ticks) <= 6
    reach = 1e-6 * (abs(low) + span)
    assert all(low - reach <= tick <= low + span + reach for tick in axis.ticks)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=12))
def test_a_line_has_a_point_for_each_value_and_a_gap_for_none(values):
    path = line(enumerate(values), x=Axis(0, 12, 0, 120), y=Axis(0, 1, 100, 0))
    places = re.findall(r"([ML])([\d.]+) ([\d.]+)", path)
    known = [n for n, value in enumerate(values) if value is not None]
    assert [float(x) for _, x, _ in places] == [10.0 * n for n in known]
    fresh = [n for n in known if n == 0 or values[n - 1] is None]
    assert [float(x) for pen, x, _ in places if pen == "M"] == [10.0 * n for n in fresh]


def test_an_axis_without_length_still_draws():
    assert Axis(3, 3, 0, 10).at(3) == 0
    assert Axis(3, 3, 0, 10).ticks == (3.0,)


def test_bars_of_no_height_are_left_out():
    assert bars([(0, 2, 2)], x=Axis(0, 1, 0, 1), y=Axis(0, 2, 1, 0)) == ""


points = st.lists(st.tuples(st.floats(0, 500), st.floats(0, 500)), min_size=1, max_size=60)


@given(points)
def test_a_stroke_keeps_its_course(found):
    stroke = np.array(found, np.float32)
    path = stroke_path(stroke, origin=(10, 20), scale=0.5)
    kept = np.array([list(map(float, xy)) for xy in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)])
    placed = ((stroke - np.array([10, 20])) * 0.5)[:, ::-1]
    apart = np.abs(placed[:, None] - kept[None]).max(2)
    assert (apart.min(1) <= STEP_PX + 0.06).all()
    assert (apart.min(0) <= 0.06).all()


def test_outlines_are_closed():
    square = np.float32([[0, 0], [0, 10], [10, 10], [10, 0]])
    path = outline_path([square, square + 20], origin=(0, 0), scale=1)
    assert path.count("M") == path.count("Z") == 2


@given(st.lists(st.floats(0, 1), max_size=30), st.integers(1, 10))
def test_everybody_is_in_one_bin(values, bins):
    assert sum(shares(values, bins=bins)) == len(values)


def test_a_line_without_points_is_nothing():
    assert stroke_path(np.zeros((0, 2), np.float32), origin=(0, 0), scale=1) == ""


def test_short_regions_share_a_chart():
    def row(roi, z):
        return SliceQuality(roi, z, 3, 0, 0.9, 1.0)

    rows = [row("B", 7), row("A", 2), row("C", 1), row("C", 3), row("A", 1), row("A", 5)]
    own, shared = strips(rows)
    assert (own.title, own.places, own.apart) == ("A", (1, 2, 5), False)
    assert [(one.roi, one.z) for one in shared.rows] == [("C", 1), ("C", 3), ("B", 7)]
    assert (shared.places, shared.apart) == ((0, 1, 2), True)
    assert own.points([0.1, None, 0.3]) == [(1, 0.1), (2, None), (5, 0.3)]
    assert line(shared.points([0, 1, 0]), x=Axis(0, 2, 0, 2), y=Axis(0, 1, 0, 1)).count("M") == 3
    assert strips([]) == []
