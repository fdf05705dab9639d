import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.errors import IngestError
from volproc.stages.ingest.grey.grey_range import GreyRange, grey_range, quantiles, sample_blocks

RNG = np.random.default_rng(5)


def test_the_ends_of_the_range_become_0_and_255_and_all_beyond_is_cut():
    values = np.array([[[-5.0, 100, 200, 300, 900]]], dtype="float32")
    assert GreyRange(100, 300).apply(values).tolist() == [[[0, 0, 128, 255, 255]]]


def test_greys_of_the_same_range_stay_as_they_are():
    values = np.arange(-3, 260, dtype="float32")
    assert GreyRange(0, 255).apply(values).tolist() == np.clip(values, 0, 255).tolist()
    assert GreyRange(-510, 510).apply(np.arange(-510, 511, 4)).tolist() == list(range(256))


@given(low=st.floats(-1e4, 1e4), width=st.floats(1, 1e5))
def test_mapping_keeps_the_order_and_spans_all_of_uint8(low, width):
    values = np.linspace(low, low + width, 300, dtype="float32").reshape(1, 1, -1)
    mapped = GreyRange(low, low + width).apply(values).ravel().astype(int)
    assert (np.diff(mapped) >= 0).all()
    assert (mapped[0], mapped[-1]) == (0, 255)


def test_the_range_leaves_out_hot_pixels_of_a_sample():
    planes = RNG.normal(1000, 50, (8, 200, 200))
    planes[:, 0, :5] = 65535
    found = grey_range([quantiles(plane) for plane in planes])
    assert found.low == pytest.approx(np.percentile(planes[planes < 60000], 0.1), abs=15)
    assert found.high == pytest.approx(np.percentile(planes[planes < 60000], 99.9), abs=15)


def test_blank_slices_do_not_count():
    planes = [np.zeros((50, 50)), RNG.normal(500, 30, (50, 50))]
    assert grey_range([quantiles(plane) for plane in planes]).low > 300


def test_a_volume_of_one_value_has_no_range():
    with pytest.raises(IngestError, match="grey_range"):
        grey_range([quantiles(np.full((9, 9), 7))])


def test_a_volume_of_one_value_but_for_a_few_voxels_has_none_either():
    plane = np.full((100, 100), 7)
    plane[0, 0] = 9
    with pytest.raises(IngestError, match="nearly all grey values are 7, so there is no range"):
        grey_range([quantiles(plane)])


@given(planes=st.integers(1, 500))
def test_sampled_planes_are_spread_and_each_is_taken_once(planes):
    at = [block.core.start[0] for block in sample_blocks((planes, 4, 4))]
    assert len(set(at)) == len(at) == min(16, planes)
    assert np.ptp(np.diff([-1, *at, planes])) <= np.ceil(planes / 16) or planes < 32
