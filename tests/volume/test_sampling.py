import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.errors import VolumeError
from volproc.grid.blocks import Tiling
from volproc.grid.scale import nearest, parse_voxel_nm
from volproc.volume.metadata import new_volume
from volproc.volume.sampling import Sampling, sampling_to

SIZES = st.tuples(*[st.integers(1, 9)] * 3)


@given(
    shape=SIZES,
    wanted=SIZES,
    core=SIZES,
    factor=st.tuples(*[st.sampled_from([0.2, 0.5, 0.8, 1.0, 1.25, 2.0, 3.3])] * 3),
)
def test_blocks_give_what_the_whole_array_gives(shape, wanted, core, factor):
    values = np.arange(np.prod(shape)).reshape(shape)
    sampling = Sampling(shape, factor)
    axes = zip(wanted, shape, factor, strict=True)
    expected = values[np.ix_(*(nearest(0, n, size_in=m, factor=f) for n, m, f in axes))]
    for block in Tiling(wanted, core):
        source = values[sampling.source(block.core).slices]
        found = sampling.sample(source, block.core)
        np.testing.assert_array_equal(found, expected[block.core.slices])


def test_channels_are_kept():
    values = np.arange(2 * 2 * 2 * 2).reshape(2, 2, 2, 2)
    box = Tiling((2, 4, 2), (2, 4, 2))[0].core
    found = Sampling((2, 2, 2), (1.0, 0.5, 1.0)).sample(values, box)
    np.testing.assert_array_equal(found, values.repeat(2, axis=2))


def volume(shape, voxel_nm):
    return new_volume("v.zarr", shape=shape, voxel_nm=parse_voxel_nm(voxel_nm), dtype="uint8")


def test_grids_of_one_space():
    coarse = volume((518, 1638, 1638), (50, 50, 50))
    fine = volume((518, 8192, 8192), (50, 10, 10))
    assert sampling_to(coarse, fine).factor == (1.0, 0.2, 0.2)
    assert sampling_to(fine, coarse).factor == (1.0, 5.0, 5.0)


def test_grids_of_different_spaces_are_refused():
    with pytest.raises(VolumeError, match=r"500 nm long along z, .* is 600 nm"):
        sampling_to(volume((10, 20, 20), (50, 10, 10)), volume((12, 20, 20), (50, 10, 10)))
