import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import TypeAdapter

from volproc.errors import VolumeError
from volproc.model.foreign.processing import After, Before, prepared

images = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=2, max_side=6),
    elements=st.floats(0, 4096, width=32),
)
percentiles = st.tuples(st.floats(0, 40), st.floats(60, 100))
steps = st.lists(
    st.sampled_from(
        [
            {"id": "scale_linear", "gain": 0.5, "offset": -3},
            {"id": "zero_mean_unit_variance"},
            {"id": "fixed_zero_mean_unit_variance", "mean": 100, "std": 20},
            {"id": "scale_range", "min_percentile": 5, "max_percentile": 95},
            {"id": "clip", "min": 10, "max": 200},
            {"id": "clip", "min_percentile": 1, "max_percentile": 90},
            {"id": "binarize", "threshold": 50},
            {"id": "ensure_dtype", "dtype": "uint8"},
        ]
    ),
    max_size=3,
)


def before(*stated):
    return [TypeAdapter(Before).validate_python(step) for step in stated]


@given(images, steps)
def test_a_voxel_is_prepared_the_same_in_every_tile(values, chosen):
    constants = prepared(before(*chosen), values)
    # a sigmoid is left out: vectors and their tails round it differently, wherever it stands
    whole = constants.apply(torch.from_numpy(values))
    tile = constants.apply(torch.from_numpy(values[:1, 1:]))
    assert torch.equal(tile, whole[:1, 1:])


@given(images, percentiles)
def test_scale_range_brings_the_percentiles_to_0_and_1(values, ends):
    low, high = ends
    step = {"id": "scale_range", "min_percentile": low, "max_percentile": high}
    found = prepared(before(step), values).apply(torch.from_numpy(values)).numpy()
    first, last = np.percentile(values, ends)
    wanted = (values - first) / (last - first + 1e-6)
    # where the ends are nearly equal, rounding is divided by their distance
    assert np.allclose(found, wanted, rtol=1e-4, atol=1e-3 + 1e-6 * 4096 / (last - first + 1e-6))


@given(images)
def test_zero_mean_unit_variance_is_what_it_says(values):
    found = prepared(before({"id": "zero_mean_unit_variance"}), values)
    wanted = (values - values.mean(dtype=float)) / (values.std(dtype=float) + 1e-6)
    spread = max(float(values.std(dtype=float)), 1e-6)
    applied = found.apply(torch.from_numpy(values)).numpy()
    assert np.allclose(applied, wanted, rtol=1e-4, atol=1e-3 + 1e-3 / spread)


def test_a_step_takes_its_statistics_from_what_the_step_before_left():
    values = np.array([[[0.0, 50.0, 1000.0]]], np.float32)
    steps = before({"id": "clip", "max": 100}, {"id": "scale_range"})
    found = prepared(steps, values).apply(torch.from_numpy(values))
    assert found.flatten().tolist() == pytest.approx([0, 0.5, 1])


def test_numbers_that_came_with_the_network_are_taken_not_the_volumes():
    step = {"id": "zero_mean_unit_variance", "mean": [10.0], "std": 2.0, "eps": 0.0}
    values = np.array([[[12.0, 1000.0]]], np.float32)
    assert prepared(before(step), values).apply(torch.from_numpy(values))[0, 0, 0] == 1


def test_softmax_is_over_the_channels():
    step = TypeAdapter(After).validate_python({"id": "softmax"})
    assert torch.allclose(step.apply(torch.rand(2, 3, 4, 5, 5)).sum(1), torch.ones(1))


@pytest.mark.parametrize("step", [{"id": "scale_range"}, {"id": "zero_mean_unit_variance"}])
def test_statistics_of_answers_would_be_those_of_tiles_and_are_refused(step):
    with pytest.raises(ValueError, match="does not match any of the expected tags"):
        TypeAdapter(After).validate_python(step)


def test_voxels_that_are_no_numbers_are_refused():
    with pytest.raises(VolumeError, match="NaN or infinite voxels cannot be normalised"):
        prepared(before({"id": "scale_range"}), np.full((1, 2, 2), np.nan, np.float32))
