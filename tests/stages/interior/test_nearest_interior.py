import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from volproc.grid.box import Box
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.interior.envelope_distance import reach_voxels
from volproc.stages.interior.nearest_interior import with_envelope

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
def test_a_block_with_its_halo_has_what_the_whole_has(seed):
    interiors, envelope = scene(seed)
    core = Box((2, 4, 5), (5, 9, 12))
    halo = reach_voxels(60, voxel_nm=VOXEL_NM)
    read = core.grow(halo).clip(Box((0, 0, 0), interiors.shape))
    whole = with_envelope(interiors, envelope, voxel_nm=VOXEL_NM, reach_nm=60)
    part = with_envelope(
        interiors[read.slices], envelope[read.slices], voxel_nm=VOXEL_NM, reach_nm=60
    )
    np.testing.assert_array_equal(part[core.within(read.start).slices], whole[core.slices])
