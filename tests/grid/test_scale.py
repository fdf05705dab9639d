import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.errors import GridError
from volproc.grid.box import Box, whole_box
from volproc.grid.scale import (
    NOISE,
    VoxelNm,
    covering,
    nearest,
    parse_voxel_nm,
    rescaled_shape,
    taps,
)

sizes = st.integers(1, 40)
factors = st.floats(0.2, 6, allow_nan=False)


def weighted(way, values):
    part = values[way.first : way.first + way.count]
    return (part[way.indices] * way.weights).sum(axis=1)


@given(size=sizes, factor=factors)
def test_weights_sum_to_one_and_stay_inside(size, factor):
    size_out = max(1, round(size / factor))
    way = taps(0, size_out, size_in=size, size_out=size_out, factor=factor)
    assert np.allclose(way.weights.sum(axis=1), 1, atol=1e-5)
    assert way.indices.min() == 0
    assert way.indices.max() == way.count - 1
    assert way.first >= 0
    assert way.first + way.count <= size


@given(size=sizes, factor=factors, data=st.data())
def test_any_part_has_the_weights_of_the_whole(size, factor, data):
    """The law behind equal results for every block size."""
    size_out = max(1, round(size / factor))
    start = data.draw(st.integers(-5, size_out - 1))
    stop = data.draw(st.integers(start + 1, size_out + 5))
    whole = taps(-5, size_out + 5, size_in=size, size_out=size_out, factor=factor)
    part = taps(start, stop, size_in=size, size_out=size_out, factor=factor)
    inner = whole.part(start + 5, stop + 5)
    assert np.array_equal(part.weights, inner.weights)
    assert np.array_equal(part.indices + part.first, inner.indices + inner.first + whole.first)


@given(size=sizes)
def test_the_same_voxel_size_changes_nothing(size):
    values = np.arange(size, dtype=np.float32)
    way = taps(0, size, size_in=size, size_out=size, factor=1.0)
    assert np.array_equal(weighted(way, values), values)


@pytest.mark.parametrize(
    ("factor", "voxels_off"),
    # a triangle sampled off its centre is a little lopsided, as in every library that has it
    [(0.5, 1e-4), (0.8, 1e-4), (1.25, 0.15), (1.6, 0.15), (2.0, 1e-4), (3.0, 1e-4), (5.0, 1e-4)],
)
def test_a_ramp_stays_a_ramp_in_phase(factor, voxels_off):
    size = 60
    size_out = round(size / factor)
    ramp = np.arange(size) + 0.5
    way = taps(0, size_out, size_in=size, size_out=size_out, factor=factor)
    wanted = (np.arange(size_out) + 0.5) * factor
    inner = slice(int(6 / factor) + 1, -int(6 / factor) - 1)
    assert np.allclose(weighted(way, ramp)[inner], wanted[inner], rtol=0, atol=voxels_off)


def test_beyond_the_end_the_output_is_mirrored():
    way = taps(-2, 6, size_in=8, size_out=4, factor=2.0)
    values = weighted(way, np.arange(8.0))
    assert np.allclose(values, np.pad(values[2:6], 2, mode="reflect"))


def test_published_grid():
    shape = rescaled_shape(
        (518, 8192, 8192), source_nm=VoxelNm((50, 10, 10)), target_nm=VoxelNm((50, 50, 50))
    )
    assert shape == (518, 1638, 1638)


@given(size=sizes, factor=factors)
def test_nearest_is_the_voxel_under_the_centre(size, factor):
    size_out = max(1, int(size / factor))
    low, high = nearest(0, size_out, size_in=size, factor=factor)
    centres = np.minimum((np.arange(size_out) + 0.5) * factor, size - 1e-9)
    assert ((low <= centres + NOISE) & (centres <= high + 1 + NOISE)).all()
    # the two are one unless the centre is on the border of both
    on_border = np.abs(centres - np.rint(centres)) <= NOISE
    assert ((high - low == 0) | on_border & (high - low == 1)).all()
    assert (high[on_border] == np.minimum(low[on_border] + 1, size - 1)).all()


def test_covering_spans_the_nearest_voxels():
    box = covering(Box((0, 1, 2), (4, 5, 6)), factor=(1.0, 2.0, 0.5), shape_in=(4, 10, 3))
    assert box == Box((0, 2, 1), (4, 10, 3))
    assert whole_box((4, 10, 3)).contains(box)


@pytest.mark.parametrize(
    "wrong", [(0, 1, 1), (-5, 1, 1), (1, 1), (float("nan"), 1, 1), (1, 1, float("inf"))]
)
def test_wrong_voxel_sizes_are_refused(wrong):
    with pytest.raises(GridError, match=r"three positive numbers in nm \(z, y, x\)"):
        parse_voxel_nm(wrong)
