import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.drawing import Window
from volproc.stages.annotate.geometry.line_distance import signed_distance

coordinates = st.floats(-5, 25, width=32)
loops = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=6).map(
    lambda points: np.array(points, dtype=np.float32)
)


def slowly(loop, window, nm):
    """Distance from the centre of every voxel to all segments."""
    ends = loop.astype(float) * nm
    centres = (np.moveaxis(np.indices(window.shape_yx), 0, -1) + window.start + 0.5) * nm
    found = []
    for a, b in zip(ends, np.roll(ends, -1, axis=0)):
        span = ((b - a) ** 2).sum()
        t = np.clip((centres - a) @ (b - a) / span, 0, 1) if span else np.zeros(window.shape_yx)
        found.append(np.linalg.norm(centres - a - t[..., None] * (b - a), axis=-1))
    return np.min(found, axis=0)


@given(loops, st.sampled_from([(1.0, 1.0), (3.0, 2.0)]), st.sampled_from([1.5, 4.0, 30.0]))
def test_it_is_the_distance_to_the_nearest_segment_within_reach(loop, nm, reach):
    window = Window((2, 3), (6, 8))
    found = np.abs(signed_distance(loop, window, nm=nm, reach_nm=reach))
    expected = np.minimum(slowly(loop, window, nm), reach)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-3)


def test_it_is_negative_outside():
    square = np.float32([[2, 2], [2, 8], [8, 8], [8, 2]])
    found = signed_distance(square, Window((0, 0), (10, 10)), nm=(1, 1), reach_nm=2.0)
    assert found[2, 5] == 0.5
    assert found[1, 5] == -0.5
    assert found[5, 5] == 2
    assert found[0, 0] == -2


@pytest.mark.parametrize("nm", [(1.0, 1.0), (4.0, 2.0)])
def test_every_voxel_within_reach_of_a_line_and_no_other(nm):
    """A line down the middle, drawn there and back: a band of the reach on either side."""
    x = 10 * nm[1]
    line = np.float32([[3, 10], [12, 10], [12, 10]])
    found = np.abs(signed_distance(line, Window((0, 0), (15, 20)), nm=nm, reach_nm=5.0))
    rows, columns = np.mgrid[:15, :20] + 0.5
    beyond = np.maximum(np.maximum(3 - rows, rows - 12), 0) * nm[0]
    expected = np.minimum(np.hypot(beyond, columns * nm[1] - x), 5.0)
    assert found == pytest.approx(expected, abs=1e-3)
