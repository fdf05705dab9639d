import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.stages.annotate.geometry.polylines import length
from volproc.stages.annotate.methods.cria.retracing import overrun, without_retraces


def arc(start, end, radius=1000.0, by=0.0):
    angle = np.arange(start, end, 0.02) * 2 * np.pi
    return radius * np.stack([np.sin(angle), np.cos(angle)], axis=1) + by


def test_length_is_that_of_a_polyline():
    assert length(np.array([[0, 0], [3, 4], [3, 10]])) == 11
    assert length(np.zeros((1, 2))) == 0


@given(st.floats(0, 0.6), st.floats(0.1, 0.4), st.booleans(), st.booleans())
def test_a_part_drawn_again_is_left_out_whatever_its_order_and_direction(start, part, turn, first):
    whole, again = arc(0, 1.02), arc(start, start + part, by=20.0)
    again = again[::-1] if turn else again
    lines = [again, whole] if first else [whole, again]
    kept = without_retraces(lines, 60.0)
    assert len(kept) == 1
    assert kept[0] is whole


@given(st.floats(0.1, 0.9))
def test_parts_that_meet_are_all_kept(cut):
    assert len(without_retraces([arc(0, cut), arc(cut, 1.0)], 60.0)) == 2


def test_a_line_over_two_others_is_left_out():
    lines = [arc(0, 0.6), arc(0.58, 1.0), arc(0.45, 0.75, by=15.0)]
    assert len(without_retraces(lines, 60.0)) == 2


@pytest.mark.parametrize(
    ("share", "kept"), [(0.5, 2), (0.8, 2), (0.88, 2), (0.92, 1), (1.0, 1)], ids=str
)
def test_nine_tenths_along_another_line_make_the_same_line(share, kept):
    """A straight line along another one, which then turns away from it."""
    along = np.stack([np.zeros(1001), np.linspace(0, 4000, 1001)], axis=1)
    again = np.stack([np.full(1001, 10.0), np.linspace(500, 2500, 1001)], axis=1)
    turned = np.arange(1001) > 1000 * share
    again[turned] = again[turned][:1] + np.arange(turned.sum())[:, None] * [-2.0, 0.0]
    assert len(without_retraces([along, again], 30.0)) == kept


@pytest.mark.parametrize(("apart", "kept"), [(90.0, 1), (110.0, 2)])
def test_lines_farther_apart_than_a_twentieth_of_the_longer_are_two(apart, kept):
    longer = np.stack([np.zeros(101), np.linspace(0, 2000, 101)], axis=1)
    shorter = np.stack([np.full(101, apart), np.linspace(500, 1500, 101)], axis=1)
    assert len(without_retraces([shorter, longer], 1000.0)) == kept
    assert len(without_retraces([shorter, longer], apart - 1)) == 2


@pytest.mark.parametrize("turns", [1.1, 1.5, 2.3])
def test_a_line_is_cut_where_it_returned_to_its_start(turns):
    line = overrun(arc(0, turns), 100.0)
    assert line is not None
    assert length(line) == pytest.approx(2 * np.pi * 1000, rel=0.03)


def test_a_line_that_goes_elsewhere_after_its_start_is_no_overrun():
    away = np.stack([np.linspace(0, 3000, 100), np.full(100, 1000.0)], axis=1)
    assert overrun(np.vstack([arc(0, 1.0), away]), 100.0) is None


def test_a_line_that_never_returns_is_no_overrun():
    assert overrun(arc(0, 0.7), 100.0) is None
    assert overrun(np.array([[0.0, 0.0], [1.0, 1.0]]), 100.0) is None
    assert overrun(np.zeros((3, 2)), 100.0) is None


@pytest.mark.parametrize("points", [1, 50])
def test_a_line_is_cut_at_its_first_visit_though_the_second_is_nearer(points):
    """Once around to 57 from its start, then a step or once more around, and to the very place."""
    start, again = arc(0, 0.01), arc(0.02, 1.01)
    line = overrun(np.vstack([start, again + 40, again[:points], start]), 100.0)
    assert line is not None
    assert len(line) == 1 + len(again)


@pytest.mark.parametrize(("times", "cut"), [(4, True), (5, False)])
def test_a_line_has_left_its_start_from_twice_the_width_on(times, cut):
    """To and fro: the width, a twentieth of its length, is 0.4 or 0.5 of how far it goes."""
    away = 100.0 - np.abs(np.arange(200 * times + 1) % 200 - 100)
    line = overrun(np.stack([away, np.zeros_like(away)], axis=1), 1000.0)
    assert (line is not None) == cut
    assert not cut or len(line) == 201
