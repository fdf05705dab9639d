"""scipy on the whole array, and dask-image, say what each operation is."""

import dask.array
import numpy as np
import pytest
from dask_image import ndfilters
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from volproc.grid.scale import VoxelNm
from volproc.stages.filter.filter_steps import FilterStep, parse_step
from volproc.stages.filter.operations import filtered, halo_of, radius_of

VOXEL_NM = VoxelNm((50.0, 10.0, 12.5))
STEPS = ["median 120", "gaussian 15", "unsharp 20 amount=1.5", "destripe 150 length=400"]


def padded(values, steps, voxel_nm=VOXEL_NM):
    """What a block is that is the whole volume."""
    return np.pad(values, [(n, n) for n in halo_of(steps, voxel_nm)], mode="reflect")


def of(values, *texts):
    steps = tuple(map(parse_step, texts))
    return filtered(padded(values, steps), steps, VOXEL_NM)


@pytest.fixture
def floats(noise):
    return noise[:20].astype("float32")


def test_a_median_takes_the_voxels_whose_centres_are_within_its_width(floats):
    wanted = ndimage.median_filter(floats, size=(3, 13, 9), mode="mirror")
    assert np.array_equal(of(floats, "median 120"), wanted)


def test_a_gaussians_width_is_its_sigma_in_nm(floats):
    sigma = [15 / nm for nm in VOXEL_NM]
    wanted = ndimage.gaussian_filter(floats, sigma, mode="mirror", output="float32")
    assert np.array_equal(of(floats, "gaussian 15"), wanted)


def test_an_unsharp_mask_adds_what_the_gaussian_takes_away(floats):
    wanted = floats + 1.5 * (floats - of(floats, "gaussian 20"))
    assert np.allclose(of(floats, "unsharp 20 amount=1.5"), wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "lazily"),
    [
        ("median 120", lambda a: ndfilters.median_filter(a, size=(3, 13, 9), mode="mirror")),
        (
            "gaussian 15",
            lambda a: ndfilters.gaussian_filter(a, [15 / nm for nm in VOXEL_NM], mode="mirror"),
        ),
    ],
)
def test_dask_image_finds_the_same_inside(floats, text, lazily):
    """At the border dask-image mirrors blocks; inside there is one right value."""
    radius = radius_of(parse_step(text), VOXEL_NM)
    inner = tuple(slice(n, -n or None) for n in radius)
    wanted = lazily(dask.array.from_array(floats, chunks=(10, 35, 45))).compute(scheduler="sync")
    assert np.allclose(of(floats, text)[inner], wanted[inner], atol=1e-4)


@pytest.mark.parametrize("axis", ["y", "x"])
def test_curtains_go_and_what_is_no_curtain_stays(axis):
    rng = np.random.default_rng(5)
    image = ndimage.gaussian_filter(rng.normal(size=(2, 200, 200)), (0, 6, 6)) * 300 + 100
    stripes = rng.normal(size=200) * 10
    curtains = stripes[None, None, :] if axis == "y" else stripes[None, :, None]
    step = parse_step(f"destripe 300 length=1500 axis={axis}")
    nm = VoxelNm((50.0, 10.0, 10.0))
    found = filtered(padded(image + curtains, (step,), nm), (step,), nm)
    assert np.std(found - image) < 0.4 * np.std(curtains)
    clean = filtered(padded(image, (step,), nm), (step,), nm)
    assert np.std(clean - image) < 0.25 * np.std(image)


def test_a_constant_stays_a_constant():
    flat = np.full((8, 30, 30), 77, np.uint8)
    assert np.array_equal(of(flat, *STEPS), flat)


@settings(max_examples=20)
@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=3), st.integers(0, 2**31))
def test_a_block_with_its_halo_gets_what_the_whole_gets(texts, seed):
    """Bit by bit, in floats: block size can only matter here."""
    steps = tuple(map(parse_step, texts))
    halo = halo_of(steps, VOXEL_NM)
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(6, 16, 14)).astype("float32")
    whole = np.pad(values, [(n, n) for n in halo], mode="reflect")
    wanted = filtered(whole, steps, VOXEL_NM)
    start = [int(rng.integers(n)) for n in values.shape]
    stop = [int(rng.integers(a + 1, n + 1)) for a, n in zip(start, values.shape)]
    window = tuple(slice(a, b + 2 * h) for a, b, h in zip(start, stop, halo))
    core = tuple(map(slice, start, stop))
    assert np.array_equal(filtered(whole[window], steps, VOXEL_NM), wanted[core])


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int16", "uint16", "int32", "uint64", "float64"]
)
def test_types_are_kept_rounded_and_clipped(dtype):
    values = np.zeros((3, 9, 9), dtype)
    ends = (False, True) if dtype == "bool" else (0, 200)
    if np.dtype(dtype).kind in "ui":
        ends = (np.iinfo(dtype).min, np.iinfo(dtype).max)
    values[:, :, :5], values[:, :, 5:] = ends
    found = of(values, "unsharp 20 amount=3")
    assert found.dtype == values.dtype
    if dtype != "float64":  # an edge overshoots: what is beyond the type is cut off
        assert int(found.min()) == int(ends[0])
        # of 64 bits a float has 53
        assert 0 <= int(ends[1]) - int(found.max()) <= 2047 * (dtype == "uint64")
    else:
        assert found.max() > 200


@pytest.mark.parametrize(
    ("text", "radius"),
    [
        ("median 20", (0, 1, 0)),
        ("median 25", (0, 1, 1)),
        ("median 100", (1, 5, 4)),
        ("gaussian 10", (1, 4, 3)),
        ("destripe 100 length=200", (0, 10, 4)),
        ("destripe 100 length=200 axis=x", (0, 5, 8)),
    ],
)
def test_radius_in_voxels_of_unequal_sides(text, radius):
    assert radius_of(parse_step(text), VOXEL_NM) == radius


def test_steps_follow_one_another(floats):
    both = of(floats, "median 120", "gaussian 15")
    assert np.array_equal(both, of(of(floats, "median 120"), "gaussian 15"))
    assert not np.array_equal(both, of(floats, "gaussian 15", "median 120"))
    assert halo_of((FilterStep("median", 120), FilterStep("gaussian", 15)), VOXEL_NM) == (2, 12, 9)
