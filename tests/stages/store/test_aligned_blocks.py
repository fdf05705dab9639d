"""Blocks that compute few chunks twice, in shards of at most 64 MB."""

from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.stages.store.aligned_blocks import block_and_shard, computed
from volproc.volume.metadata import SHARD_BYTES

STORED = (64, 64, 64)


def regular(n, chunk):
    return tuple(min(chunk, n - a) for a in range(0, n, chunk))


@given(n=st.integers(1, 60), chunk=st.integers(1, 20), length=st.integers(1, 30))
def test_voxels_are_counted_as_often_as_blocks_meet_their_chunk(n, chunk, length):
    chunks = regular(n, chunk)
    total = 0
    for a in range(0, n, length):
        met = {i // chunk for i in range(a, min(a + length, n))}
        total += sum(chunks[one] for one in met)
    assert computed(chunks, length) == total


@given(
    shape=st.tuples(*[st.integers(1, 3000)] * 3),
    chunk=st.tuples(*[st.integers(20, 700)] * 3),
    itemsize=st.sampled_from([1, 2, 4]),
)
def test_blocks_are_whole_shards_and_shards_whole_chunks(shape, chunk, itemsize):
    chunks = tuple(map(regular, shape, chunk))
    block, shard = block_and_shard(shape, chunks, stored=STORED, itemsize=itemsize)
    assert all(b % s == 0 and s % c == 0 for b, s, c in zip(block, shard, STORED))
    assert prod(shard) * itemsize <= max(SHARD_BYTES, prod(STORED) * itemsize)


@pytest.mark.parametrize("itemsize", [1, 4])
def test_our_own_shards_are_computed_once(itemsize):
    """As `Volume.dask` gives them, also where the result has voxels of more bytes."""
    shape = (518, 8192, 8192)
    chunks = tuple(map(regular, shape, (320, 448, 448)))
    block, _ = block_and_shard(shape, chunks, stored=STORED, itemsize=itemsize)
    assert prod(map(computed, chunks, block)) == prod(shape)
    assert prod(block) * itemsize <= 4 * SHARD_BYTES


def test_slices_are_computed_less_often_than_by_cubes():
    """What imread gives: planes. As many as one block of them may hold are computed once."""
    shape = (518, 2048, 2048)
    chunks = tuple(map(regular, shape, (1, 2048, 2048)))
    block, _ = block_and_shard(shape, chunks, stored=(32, 128, 128), itemsize=1)
    assert prod(map(computed, chunks, block)) == prod(shape)
    assert block[1:] == (2048, 2048)
