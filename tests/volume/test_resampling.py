import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from volproc.grid.box import Box, whole_box
from volproc.grid.scale import VoxelNm, taps
from volproc.volume.metadata import new_volume
from volproc.volume.resampling import (
    in_plane_by_rows,
    in_plane_by_torch,
    read_resampled,
    resampling_to,
    tap_tensors,
)


def test_the_level_is_the_coarsest_that_is_fine_enough():
    info = new_volume("a", shape=(518, 8192, 8192), voxel_nm=VoxelNm((50, 10, 10)), dtype="uint8")
    assert resampling_to(info, VoxelNm((50, 50, 50))).level == 2
    assert resampling_to(info, VoxelNm((100, 80, 80))).level == 3
    assert resampling_to(info, VoxelNm((50, 8, 8))).level == 0
    assert resampling_to(info, VoxelNm((50, 50, 50))).shape_out == (518, 1638, 1638)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_window_is_a_part_of_the_whole(data, tmp_path_factory):
    """Bit by bit, whatever the window: the law behind equal results for every block size."""
    volume, whole = _volume(tmp_path_factory)
    way = resampling_to(volume.info, VoxelNm((50, 50, 50)))
    start = [data.draw(st.integers(-6, n)) for n in way.shape_out]
    stop = [data.draw(st.integers(a + 1, n + 6)) for a, n in zip(start, way.shape_out)]
    window = Box(tuple(start), tuple(stop))
    pad = [(6, 6)] * 3
    wanted = np.pad(whole, pad, mode="reflect")[window.shift((6, 6, 6)).slices]
    assert np.array_equal(read_resampled(volume, way, window).numpy(), wanted)


_made = {}


def _volume(tmp_path_factory):
    """One volume for all examples: 40 x 33 x 57 voxels of 45 x 40 x 30 nm."""
    if not _made:
        from volproc.volume.store import create_volume

        values = np.random.default_rng(5).integers(0, 255, (40, 33, 57), dtype="uint8")
        url = str(tmp_path_factory.mktemp("resample") / "a.zarr")
        info = new_volume(
            url, shape=values.shape, voxel_nm=VoxelNm((45, 40, 30)), dtype="uint8", max_levels=1
        )
        volume = create_volume(info, step="test", digest="d", version="0")
        volume.write(info.box, values)
        way = resampling_to(info, VoxelNm((50, 50, 50)))
        whole = read_resampled(volume, way, whole_box(way.shape_out)).numpy()
        _made["volume"] = volume.finish(), whole
    return _made["volume"]


@given(
    factors=st.tuples(*[st.floats(0.2, 6)] * 2),
    sizes=st.tuples(*[st.integers(1, 40)] * 2),
    kind=st.sampled_from([torch.uint8, torch.float32]),
)
def test_rows_in_the_cache_and_torch_give_the_same_bits(factors, sizes, kind):
    """So a GPU sees the voxels that a CPU sees."""
    y, x = (
        taps(-3, n + 3, size_in=max(1, round(n * f)), size_out=n, factor=f)
        for n, f in zip(sizes, factors)
    )
    planes = torch.randint(0, 256, (2, y.count, x.count), dtype=torch.uint8)
    found, wanted = (torch.empty((2, len(y.indices), len(x.indices)), dtype=kind) for _ in "ab")
    in_plane_by_rows(planes, y, x, found)
    in_plane_by_torch(planes, *(tap_tensors(axis, planes.device) for axis in (y, x)), wanted)
    assert torch.equal(found, wanted)


def test_the_mean_stays(tmp_path_factory):
    volume, whole = _volume(tmp_path_factory)
    values = volume.read(volume.info.box)
    assert whole.mean() == pytest.approx(values.mean(), rel=0.01)
    assert whole.std() < values.std()


def test_the_same_grid_gives_the_same_voxels(save_volume, noise):
    volume = save_volume("a.zarr", noise)
    way = resampling_to(volume.info, VoxelNm((50, 50, 50)))
    found = read_resampled(volume, way, whole_box(way.shape_out))
    assert torch.equal(found, torch.from_numpy(noise).float())
