import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from volproc.grid.scale import VoxelNm
from volproc.volume import display_window
from volproc.volume.display_window import window, window_of
from volproc.volume.metadata import Window, new_volume
from volproc.volume.store import create_volume

TYPES = ("bool", "uint8", "int16", "uint16", "uint32", "float16", "float32")


@given(
    st.sampled_from(TYPES).flatmap(
        lambda dtype: arrays.arrays(dtype, st.tuples(st.integers(0, 5), st.integers(1, 40)))
    )
)
def test_any_voxels_have_a_window_that_viewers_take(values):
    found = window(values)
    assert found.min <= found.start < found.end <= found.max
    assert all(np.isfinite(found))


def test_a_few_voxels_far_off_are_outside():
    values = np.full(10_000, 100, "uint8")
    values[5000:] = 120
    values[:20], values[-20:] = 0, 255
    assert window(values) == Window(0, 255, 100, 120)
    assert window(values / np.float32(2)) == Window(0, 127.5, 50, 60)


def test_floats_that_are_no_number_do_not_count():
    assert window(np.array([np.nan, 1, 2, np.inf], "float32")) == Window(1, 2, 1, 2)


@pytest.mark.parametrize(
    ("most", "shown"), [(10**6, (0, 65)), (20_000, (100, 135)), (3000, (120, 125))]
)
def test_a_level_or_planes_are_sampled(tmp_path, monkeypatch, most, shown):
    """The finest level that is small enough; where all are too large, planes of the coarsest."""
    monkeypatch.setattr(display_window, "SAMPLE_VOXELS", most)
    info = new_volume(
        str(tmp_path / "a.zarr"),
        shape=(7, 300, 30),
        voxel_nm=VoxelNm((10, 10, 10)),
        dtype="uint8",
        max_levels=2,
    )
    volume = create_volume(info, step="test", digest="d", version="0")
    for n, level in enumerate(info.levels):
        values = np.empty(level.shape, "uint8")
        values[:] = 100 * n + 10 * np.arange(level.shape[0])[:, None, None]
        values[..., 1::2] += 5
        volume.write(level.box, values, level=n)
    assert window_of(info.levels, volume.read) == Window(0, 255, *shown)
