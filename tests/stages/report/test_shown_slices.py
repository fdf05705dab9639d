import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.grid.scale import parse_voxel_nm
from volproc.stages.report.shown_slices import (
    bytes_of_plane,
    canvases,
    indices,
    level_for,
    plane,
    read_nearest,
    read_smooth,
    spread,
)
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume

spans = st.lists(st.tuples(st.floats(0, 900), st.floats(1, 100), st.floats(0.1, 10)), min_size=1)


def info_of(shape, voxel_nm, **more):
    return new_volume(
        "v.zarr", shape=shape, voxel_nm=parse_voxel_nm(voxel_nm), dtype="uint8", **more
    )


@given(spans, st.integers(1, 6))
def test_places_lie_in_objects_and_in_order(found, count):
    start, length, weight = np.array(found).T
    places = spread(start, start + length, weight, count=count, length=1000.0)
    assert len(places) == count
    for place in places:
        assert ((start <= place) & (place <= start + length)).any()


def test_places_follow_the_weight():
    start, stop = np.array([0.0, 100.0]), np.array([10.0, 110.0])
    places = spread(start, stop, np.array([1.0, 9.0]), count=5, length=500.0)
    assert (places > 90).all()


def test_places_without_objects_are_even():
    none = np.zeros(0)
    assert spread(none, none, none, count=2, length=100.0).tolist() == [25.0, 75.0]


def test_a_thin_volume_shows_each_slice_once():
    assert indices(np.array([10.0, 20.0, 149.0]), voxel_nm=50, size=2) == [0, 1]


@pytest.mark.parametrize(
    ("shape", "voxel_nm"),
    [
        ((518, 8192, 8192), (50, 10, 10)),
        ((300, 500, 500), (50, 40, 40)),
        ((9, 40, 70), (50, 10, 10)),
    ],
)
def test_pictures_keep_the_aspect_and_fit(shape, voxel_nm):
    extent = np.array(shape) * voxel_nm
    for canvas in canvases(info_of(shape, voxel_nm)):
        down, across = canvas.sides
        assert max(canvas.height, canvas.width) <= 900
        assert canvas.height == pytest.approx(extent[down] / canvas.pixel_nm, abs=0.5)
        assert canvas.width == pytest.approx(extent[across] / canvas.pixel_nm, abs=0.5)


def test_a_coarse_level_is_read_and_the_bytes_are_whole_chunks():
    info = info_of((518, 8192, 8192), (50, 10, 10))
    front, above, side = canvases(info)
    read = [info.levels[level_for(info, canvas)].voxel_nm for canvas in (front, above, side)]
    assert read == [(100, 80, 80), (50, 40, 40), (50, 40, 40)]
    assert bytes_of_plane(info, front) == 64 * 1024 * 1024
    assert bytes_of_plane(info, side) == 518 * 2048 * 64


def test_planes_lie_at_their_place_in_nm():
    info = info_of((10, 20, 30), (50, 10, 10))
    box = plane(info.levels[0], canvases(info)[0], 149.0)
    assert (box.start, box.stop) == ((2, 0, 0), (3, 20, 30))
    beyond = plane(info.levels[0], canvases(info)[2], 1e6)
    assert (beyond.start[2], beyond.stop[2]) == (29, 30)


@pytest.fixture
def steps(tmp_path):
    """A volume of 6x8x10 voxels of 50x10x10 nm whose values count x."""
    info = new_volume(
        str(tmp_path / "steps.zarr"),
        shape=(6, 8, 10),
        voxel_nm=parse_voxel_nm((50, 10, 10)),
        dtype="uint8",
    )
    volume = create_volume(info, step="test", digest="made", version="0")
    volume.write(info.box, np.broadcast_to(np.arange(10, dtype="uint8") * 20, info.shape))
    return volume.finish()


def test_voxels_become_square_pixels(steps):
    front, above, side = canvases(steps.info)
    assert (side.height, side.width) == (600, 160)
    seen = read_nearest(steps, above, 45.0)
    assert seen.shape == (600, 200)
    np.testing.assert_array_equal(seen[0], np.repeat(np.arange(10) * 20, 20))
    smooth = read_smooth(steps, front, 45.0)
    assert smooth.shape == (160, 200)
    assert (np.diff(smooth, axis=1) >= -1e-4).all()
    np.testing.assert_allclose(smooth[:, 100], 90 + 0.5, atol=1)
