import os

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import ZstdCodec

from volproc.volume.shard import is_plain, write_shard

RNG = np.random.default_rng(4)


@st.composite
def arrays(draw):
    """An array, its chunks, and shards of some of them."""
    axes = draw(st.integers(1, 4))
    chunk = tuple(draw(st.integers(1, 5)) for _ in range(axes))
    shard = tuple(c * draw(st.integers(1, 3)) for c in chunk)
    shape = tuple(draw(st.integers(1, 2 * s)) for s in shard)
    dtype = draw(st.sampled_from(["uint8", "uint16", "int32", "float32", "uint64"]))
    values = RNG.integers(0, 200, shape).astype(dtype)
    hole = tuple(slice(draw(st.integers(0, n)), draw(st.integers(0, n))) for n in shape)
    values[hole] = 0
    return values, chunk, shard


def create(folder, values, chunk, shard):
    return zarr.create_array(
        folder,
        shape=values.shape,
        dtype=values.dtype,
        chunks=chunk,
        shards=shard,
        compressors=ZstdCodec(level=1),
        fill_value=0,
    )


def write(folder, array, values, *, keep_empty):
    for place in np.ndindex(*(-(-n // s) for n, s in zip(values.shape, array.shards))):
        inside = tuple(slice(p * s, (p + 1) * s) for p, s in zip(place, array.shards))
        path = folder / array.metadata.encode_chunk_key(place)
        write_shard(
            path, values[inside], shard=array.shards, chunk=array.chunks, keep_empty=keep_empty
        )


@settings(max_examples=60)
@given(made=arrays(), keep_empty=st.booleans())
def test_zarr_reads_what_is_written(tmp_path_factory, made, keep_empty):
    values, chunk, shard = made
    folder = tmp_path_factory.mktemp("a") / "a.zarr"
    array = create(folder, values, chunk, shard)
    assert is_plain(array)
    write(folder, array, values, keep_empty=keep_empty)
    assert np.array_equal(zarr.open_array(folder, mode="r")[:], values)
    assert not list(folder.rglob("*.partial"))


def test_every_chunk_is_what_zarr_itself_writes(tmp_path):
    values = RNG.integers(0, 99, (20, 30, 30), dtype="uint16")
    ours = create(tmp_path / "ours", values, (10, 10, 10), (20, 20, 20))
    zarrs = create(tmp_path / "zarrs", values, (10, 10, 10), (20, 20, 20))
    write(tmp_path / "ours", ours, values, keep_empty=True)
    zarrs[:] = values
    for place in np.ndindex(1, 2, 2):
        key = ours.metadata.encode_chunk_key(place)
        ends = [os.path.getsize(tmp_path / name / key) for name in ("ours", "zarrs")]
        if place == (0, 0, 0):  # no part of it lies beyond the array's end
            assert ends[0] == ends[1]


def test_a_shard_of_background_is_its_index_only(tmp_path):
    values = np.zeros((4, 4), "uint8")
    array = create(tmp_path / "a", values, (2, 2), (4, 4))
    write(tmp_path / "a", array, values + 1, keep_empty=False)
    write(tmp_path / "a", array, values, keep_empty=False)
    assert (tmp_path / "a" / "c" / "0" / "0").stat().st_size == 4 * 16 + 4
    assert not array[:].any()


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    values = np.ones((4, 4), "uint8")
    array = create(tmp_path / "a", values, (2, 2), (4, 4))
    write(tmp_path / "a", array, values, keep_empty=True)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("volproc.volume.file_io.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "a", array, values * 2, keep_empty=True)
    assert (array[:] == 1).all()
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize(
    "other",
    [
        {"compressors": ZstdCodec(level=3)},
        {"compressors": None},
        {"shards": None},
        {"serializer": zarr.codecs.BytesCodec(endian="big")},
    ],
)
def test_arrays_made_in_another_way_are_left_to_zarr(tmp_path, other):
    given = {"chunks": (2, 2), "shards": (4, 4), "compressors": ZstdCodec(level=1), **other}
    array = zarr.create_array(tmp_path / "a", shape=(4, 4), dtype="uint16", **given)
    assert not is_plain(array)
