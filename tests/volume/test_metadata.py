import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.grid.scale import VoxelNm
from volproc.volume.metadata import SHARD_BYTES, new_volume, shard_shape

shapes = st.tuples(st.integers(1, 700), st.integers(1, 9000), st.integers(1, 9000))


def volume(shape=(518, 8192, 8192), voxel_nm=(50, 10, 10), **more):
    return new_volume("a.zarr", shape=shape, voxel_nm=VoxelNm(voxel_nm), dtype="uint8", **more)


def test_levels_shrink_in_plane_first_until_voxels_are_near_isotropic():
    assert [level.voxel_nm for level in volume().levels] == [
        (50, 10, 10),
        (50, 20, 20),
        (50, 40, 40),
        (100, 80, 80),
        (200, 160, 160),
        (400, 320, 320),
    ]


@given(shape=shapes)
def test_every_level_starts_at_the_same_corner(shape):
    for level in volume(shape).levels:
        for size, offset, finest in zip(level.voxel_nm, level.translation_nm, (50, 10, 10)):
            assert offset == pytest.approx((size - finest) / 2, abs=1e-9)


positions = st.tuples(*[st.floats(-1e6, 1e6)] * 3)
sizes = st.tuples(*[st.floats(1, 1000)] * 3)


@given(corner=positions, voxel=sizes)
def test_another_grid_of_the_volume_shares_its_corner(corner, voxel):
    for level in volume((9, 900, 900), voxel, corner_nm=corner).levels:
        found = [t - v / 2 for t, v in zip(level.translation_nm, level.voxel_nm)]
        assert found == pytest.approx(corner, abs=1e-6)
    image = volume((9, 900, 900), corner_nm=corner)
    other = volume((9, 900, 900), voxel, corner_nm=image.corner_nm)
    assert other.corner_nm == pytest.approx(image.corner_nm, abs=1e-6)


@given(shape=shapes, voxel=st.sampled_from([1, 2, 4]))
def test_shards_are_whole_chunks_of_at_most_64_mb(shape, voxel):
    unit = shard_shape(shape, chunks=(64, 64, 64), bytes_per_voxel=voxel)
    assert all(n % 64 == 0 for n in unit)
    assert unit[0] * unit[1] * unit[2] * voxel <= SHARD_BYTES
