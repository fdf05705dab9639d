import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from volproc.grid.box import Box
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.interior.envelope_distance import (
    near,
    reach_voxels,
    squared_nm,
    with_envelope,
    with_slices_apart,
)

masks = arrays(
    bool, st.tuples(*[st.integers(1, 9)] * 3), elements=st.integers(0, 9).map(lambda n: n == 0)
)
sizes = st.sampled_from([(50, 40, 40), (50, 10, 10), (1, 1, 1), (0.1, 0.2, 0.3)])


@given(masks, sizes, st.floats(0, 4))
@settings(max_examples=60)
def test_squares_are_those_of_the_exact_transform_within_reach(mask, size, share):
    voxel_nm = parse_voxel_nm(size)
    reach_nm = share * max(size)
    found = squared_nm(mask, voxel_nm=voxel_nm, reach_nm=reach_nm)
    if mask.any():
        exact = ndimage.distance_transform_edt(~mask, sampling=size)
        clear = np.abs(exact - reach_nm) > 1e-3 * max(size)  # not on the very edge of the reach
        within = clear & (exact < reach_nm)
        np.testing.assert_allclose(np.sqrt(found[within]), exact[within], rtol=1e-5)
        assert np.isinf(found[clear & (exact > reach_nm)]).all()
    else:
        assert np.isinf(found).all()


@given(st.integers(0, 2**32), sizes.filter(lambda size: min(size) >= 1))
@settings(max_examples=20)
def test_a_block_with_its_halo_has_the_bits_of_the_whole(seed, size):
    rng = np.random.default_rng(seed)
    mask = rng.random((18, 20, 22)) > 0.995
    voxel_nm, reach_nm = parse_voxel_nm(size), 3 * max(size)
    core = Box((6, 5, 8), (12, 13, 15))
    halo = reach_voxels(reach_nm, voxel_nm=voxel_nm)
    read = core.grow(halo).clip(Box((0, 0, 0), mask.shape))
    whole = squared_nm(mask, voxel_nm=voxel_nm, reach_nm=reach_nm)
    part = squared_nm(mask[read.slices], voxel_nm=voxel_nm, reach_nm=reach_nm)
    np.testing.assert_array_equal(part[core.within(read.start).slices], whole[core.slices])


def test_slices_apart_do_not_see_one_another():
    mask = np.zeros((5, 5, 5), bool)
    mask[2, 2, 2] = True
    voxel_nm = with_slices_apart(parse_voxel_nm((50, 10, 10)), 0)
    found = near(mask, voxel_nm=voxel_nm, reach_nm=1000)
    assert found[2].all()
    assert found.sum() == 25


def test_three_voxels_of_a_tenth_are_within_three_tenths():
    line = np.zeros((1, 1, 8), bool)
    line[0, 0, 0] = True
    found = near(line, voxel_nm=parse_voxel_nm((0.1, 0.1, 0.1)), reach_nm=0.3)
    assert found[0, 0].tolist() == [True] * 4 + [False] * 4


VOXEL_NM = parse_voxel_nm((50, 10, 10))


def scene(seed, shape=(8, 14, 16)):
    rng = np.random.default_rng(seed)
    interiors = np.where(rng.random(shape) > 0.98, rng.integers(1, 5, shape), 0).astype(np.uint32)
    return interiors, rng.random(shape) > 0.5


@given(st.integers(0, 2**32), st.integers(0, 120))
@settings(max_examples=30)
def test_envelope_goes_to_the_nearest_and_the_lowest_of_equals(seed, reach_nm):
    interiors, envelope = scene(seed, (4, 9, 9))
    found = with_envelope(interiors, envelope, voxel_nm=VOXEL_NM, reach_nm=reach_nm)
    places = np.argwhere(interiors)
    expected = interiors.copy()
    for voxel in np.argwhere(envelope & (interiors == 0)):
        squares = (((places - voxel) * np.array(VOXEL_NM)) ** 2).sum(axis=1)
        if len(squares) and squares.min() <= reach_nm**2:
            nearest = places[squares == squares.min()]
            expected[tuple(voxel)] = min(interiors[tuple(place)] for place in nearest)
    np.testing.assert_array_equal(found, expected)


@given(st.integers(0, 2**32))
@settings(max_examples=10)
def test_a_block_with_its_halo_gives_envelope_as_the_whole_does(seed):
    interiors, envelope = scene(seed)
    core = Box((2, 4, 5), (5, 9, 12))
    halo = reach_voxels(60, voxel_nm=VOXEL_NM)
    read = core.grow(halo).clip(Box((0, 0, 0), interiors.shape))
    whole = with_envelope(interiors, envelope, voxel_nm=VOXEL_NM, reach_nm=60)
    part = with_envelope(
        interiors[read.slices], envelope[read.slices], voxel_nm=VOXEL_NM, reach_nm=60
    )
    np.testing.assert_array_equal(part[core.within(read.start).slices], whole[core.slices])
