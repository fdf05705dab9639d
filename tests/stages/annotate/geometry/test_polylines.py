import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.stages.annotate.geometry.polylines import evenly, length, resampled

points = st.tuples(st.floats(-500, 500), st.floats(-500, 500))
lines = st.lists(points, min_size=2, max_size=9, unique=True).map(np.array)


@given(line=lines, step=st.floats(5, 300), at_least=st.integers(2, 12))
def test_points_are_at_equal_distances_along_the_line(line, step, at_least):
    found = resampled(line, step, at_least=at_least)
    assert len(found) == max(at_least, round(length(line) / step) + 1)
    assert found[0] == pytest.approx(line[0])
    assert found[-1] == pytest.approx(line[-1])
    # a chord is never longer than the line between its ends
    chords = np.linalg.norm(np.diff(found, axis=0), axis=1)
    assert chords.max() <= length(line) / (len(found) - 1) * (1 + 1e-9)


def test_a_straight_line_has_points_exactly_a_step_apart():
    found = resampled(np.array([[0.0, 0.0], [3.0, 4.0], [30.0, 40.0]]), 10.0, at_least=2)
    assert found == pytest.approx(np.outer(np.arange(6), [6.0, 8.0]))


def test_a_closed_line_has_each_point_once():
    square = np.array([[0.0, 0.0], [0.0, 40.0], [40.0, 40.0], [40.0, 0.0]])
    assert evenly(square, 40.0)[::2] == pytest.approx(square)  # eight at least
    found = evenly(square, 10.0)
    assert len(found) == 16
    assert found[4:6] == pytest.approx(np.array([[0.0, 40.0], [10.0, 40.0]]))
