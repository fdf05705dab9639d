import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops

from volproc.grid.scale import parse_voxel_nm
from volproc.stages.objects.shape import elongation, semi_axes_nm
from volproc.stages.objects.statistics import block_statistics, central_products

CUBES = parse_voxel_nm((10, 10, 10))


def one_object(mask, *, origin=(0, 0, 0), shape=None):
    return block_statistics(mask.astype(np.uint32), 1, origin=origin, shape=shape or mask.shape)


def ellipsoid(axes, voxel_nm):
    """A solid ellipsoid with semi-axes in nm."""
    counts = [int(2 * a / v) + 5 for a, v in zip(axes, voxel_nm)]
    places = [(np.arange(n) + 0.5) * v for n, v in zip(counts, voxel_nm)]
    middle = [n * v / 2 for n, v in zip(counts, voxel_nm)]
    z, y, x = np.meshgrid(*places, indexing="ij")
    inside = sum(((p - m) / a) ** 2 for p, m, a in zip((z, y, x), middle, axes))
    return inside <= 1


@pytest.mark.parametrize("axes", [(200, 200, 200), (150, 300, 220)])
def test_axes_of_an_ellipsoid_of_anisotropic_voxels(axes):
    voxel_nm = parse_voxel_nm((20, 5, 10))
    objects = one_object(ellipsoid(axes, voxel_nm))
    found = semi_axes_nm(objects, voxel_nm=voxel_nm)[0]
    np.testing.assert_allclose(found, sorted(axes, reverse=True), rtol=0.01)
    expected = max(axes) / min(axes)
    assert elongation(objects, voxel_nm=voxel_nm)[0] == pytest.approx(expected, rel=0.01)


def test_a_voxel_is_as_long_as_it_is():
    single = one_object(np.ones((1, 1, 1)))
    assert elongation(single, voxel_nm=CUBES)[0] == pytest.approx(1)
    assert elongation(single, voxel_nm=parse_voxel_nm((50, 10, 10)))[0] == pytest.approx(5)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), shape=st.tuples(*[st.integers(2, 7)] * 3))
def test_products_equal_skimages_moments(seed, shape):
    mask = np.random.default_rng(seed).random(shape) < 0.5
    mask[0, 0, 0] = True
    (region,) = regionprops(mask.astype(int))
    _, products = central_products(one_object(mask))
    moments = region.moments_central
    places = [(2, 0, 0), (0, 2, 0), (0, 0, 2), (1, 1, 0), (1, 0, 1), (0, 1, 1)]
    np.testing.assert_allclose(products[0], [moments[p] for p in places], atol=1e-6)


def test_far_from_the_first_voxel_sums_wrap_and_the_shape_stays():
    mask = np.random.default_rng(1).random((4, 5, 6)) < 0.5
    far = one_object(mask, origin=(2**31, 2**31, 2**31), shape=(2**31 + 4,) * 3)
    near = one_object(mask)
    np.testing.assert_array_equal(
        semi_axes_nm(far, voxel_nm=CUBES), semi_axes_nm(near, voxel_nm=CUBES)
    )
