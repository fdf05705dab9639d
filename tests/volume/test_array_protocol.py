"""A volume indexes like the array it was made from."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from volproc.errors import GridError, VolumeError
from volproc.volume.array_protocol import CopyNeededError, OutsideError
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume, open_volume


@pytest.fixture(scope="module")
def values():
    return np.random.default_rng(0).integers(0, 255, (9, 14, 11)).astype(np.uint8)


@pytest.fixture(scope="module")
def volume(tmp_path_factory, values):
    url = str(tmp_path_factory.mktemp("a") / "a.zarr")
    how = {"voxel_nm": (50.0, 10.0, 10.0), "chunks": (4, 4, 4), "shards": (8, 8, 8)}
    info = new_volume(url, shape=values.shape, dtype="uint8", max_levels=1, **how)
    made = create_volume(info, step="test", digest="test", version="0")
    made.write(info.box, values)
    return made.finish()


def slices(n):
    ends = st.none() | st.integers(-n - 3, n + 3)
    return st.builds(slice, ends, ends, st.none() | st.integers(-4, 4).filter(bool))


def entries(n):
    return slices(n) | st.integers(-n, n - 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(z=entries(9), y=entries(14), x=entries(11), named=st.integers(0, 3))
def test_every_basic_index_gives_what_numpy_gives(volume, values, z, y, x, named):
    every = (z, y, x)
    for index in [every[:named], (*every[:named], ...), (..., *every[named:]), (z, ..., x)]:
        found, expected = volume[index], values[index]
        assert found.shape == expected.shape
        assert np.array_equal(found, expected)


def test_it_says_what_it_is(volume, values):
    assert (volume.shape, volume.ndim, len(volume), volume.dtype) == (values.shape, 3, 9, "uint8")
    assert volume.voxel_nm == (50, 10, 10)
    assert [level.shape for level in volume.levels] == [values.shape]
    assert repr(volume) == "<Volume a.zarr: image, uint8 (9, 14, 11), 50 x 10 x 10 nm, 1 level>"
    assert pickle.loads(pickle.dumps(volume)) == volume


def test_it_goes_through_numpy_and_loops(volume, values):
    assert np.array_equal(np.asarray(volume), values)
    assert np.asarray(volume, dtype="float32").dtype == np.float32
    assert np.array_equal(np.array(volume, copy=True), values)
    assert np.array_equal(list(volume), list(values))
    assert np.mean(volume) == values.mean()


def test_no_view_is_promised(volume):
    with pytest.raises(CopyNeededError, match=r"a\.zarr lies in compressed files.*leave copy out"):
        np.asarray(volume, copy=False)


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (9, "index 9 is outside axis 0 of 9 voxels"),
        ((0, -15), "index -15 is outside axis 1 of 14 voxels"),
        ((0, 0, 0, 0), "has 3 axes, .* the index has 4"),
        ((..., ...), "has 3 axes"),
        ([1, 2], "takes whole numbers, slices and ... as an index, not list"),
        (None, "not NoneType; volume.dask"),
        (True, "not bool"),
        (1.0, "not float"),
    ],
)
def test_other_indices_are_refused_in_one_line(volume, index, words):
    with pytest.raises(OutsideError, match=words) as caught:
        volume[index]
    assert isinstance(caught.value, GridError)
    assert isinstance(caught.value, IndexError)


def test_only_the_files_that_an_index_meets_are_read(volume):
    """One that is damaged beside them is not met."""
    file = Path(volume.info.url) / "0/c/0/0/0"
    content = file.read_bytes()
    try:
        file.write_bytes(content[: len(content) // 2])
        assert open_volume(volume.info.url)[8].shape == (14, 11)
    finally:
        file.write_bytes(content)


def test_more_than_the_memory_is_refused_before_a_byte_is_read(volume, monkeypatch):
    class Little:
        available = 100

    monkeypatch.setattr("volproc.volume.array_protocol.psutil.virtual_memory", Little)
    with pytest.raises(VolumeError, match=r"do not fit into .* memory that are free here; index a"):
        np.asarray(volume)
    assert volume[0, 0].shape == (11,)


def test_channels_come_first(tmp_path):
    values = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    how = {"voxel_nm": (50.0, 10.0, 10.0), "chunks": (4, 4, 4), "channels": ("x", "y")}
    info = new_volume(str(tmp_path / "c.zarr"), shape=(3, 4, 5), dtype="uint8", **how)
    made = create_volume(info, step="test", digest="test", version="0")
    made.write(info.box, values)
    volume = made.finish()
    assert volume.shape == values.shape
    assert np.array_equal(volume[1, :, ::2], values[1, :, ::2])
    assert np.array_equal(volume.dask().compute(scheduler="sync"), values)


def test_dask_takes_chunks_and_gives_the_same_keys_to_the_same_volume(volume, values):
    again = open_volume(volume.info.url)
    assert volume.dask().name == again.dask().name
    assert volume.dask().chunksize == (8, 8, 8)
    small = volume.dask(chunks=(3, 14, 5))
    assert small.chunksize == (3, 14, 5)
    assert small.name != volume.dask().name
    assert np.array_equal(small.compute(scheduler="sync"), values)
