from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.grid.blocks import Tiling
from volproc.grid.scale import VoxelNm
from volproc.stages.ingest.shard_layout import SLAB_BYTES, laid_out, layout_of, shards_along_rows
from volproc.volume.metadata import SHARD_BYTES, itemsize, new_volume

volumes = st.builds(
    lambda shape, voxel, dtype: new_volume(
        "a.zarr", shape=shape, voxel_nm=VoxelNm(voxel), dtype=dtype
    ),
    shape=st.tuples(st.integers(1, 900), st.integers(1, 20000), st.integers(1, 20000)),
    voxel=st.sampled_from([(50, 10, 10), (8, 8, 8), (40, 20, 20)]),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
)


@given(info=volumes, by_rows=st.booleans())
def test_shards_are_whole_chunks_and_blocks_whole_shards(info, by_rows):
    layout = layout_of(info, by_rows=by_rows)
    finest = laid_out(info, layout).levels[0]
    assert all(shard % chunk == 0 for shard, chunk in zip(finest.shards, finest.chunks))
    blocks = Tiling(shape=info.shape, core=layout.block)
    for block in (blocks[0], blocks[len(blocks) - 1]):
        assert block.core.aligned_to(finest.shards, whole=info.box)


@given(info=volumes, by_rows=st.booleans())
def test_shards_stay_below_their_size_unless_one_row_of_chunks_is_larger(info, by_rows):
    layout = layout_of(info, by_rows=by_rows)
    smallest = prod(layout.chunks) * itemsize(info.dtype)
    assert prod(layout.shards) * itemsize(info.dtype) <= max(SHARD_BYTES, smallest)


@given(info=volumes)
def test_a_block_holds_whole_planes_where_they_are_decoded_whole(info):
    layout = layout_of(info, by_rows=False)
    assert layout.block[1:] == info.shape[1:]
    plane = info.shape[1] * info.shape[2] * itemsize(info.dtype)
    assert layout.block[0] * plane <= max(SLAB_BYTES, 8 * plane) or layout.block[0] <= 8


def test_a_large_plane_is_cut_into_bands_of_whole_rows():
    info = new_volume(
        "a.zarr", shape=(518, 8192, 8192), voxel_nm=VoxelNm((50, 10, 10)), dtype="uint8"
    )
    layout = layout_of(info, by_rows=True)
    assert layout.block == layout.shards == (32, 256, 8192)
    assert layout_of(info, by_rows=False).block == (8, 8192, 8192)


@pytest.mark.parametrize(
    ("shape", "voxel_nm", "chunks", "shards", "coarser"),
    [
        # level 1 is half as fine along y and x; its shard is what one of the finest becomes
        ((518, 8192, 8192), (50, 10, 10), (8, 128, 128), (8, 1024, 8192), (8, 512, 4096)),
        ((16, 16384, 16384), (50, 10, 10), (8, 128, 128), (8, 512, 16384), (8, 256, 8192)),
        ((300, 500, 500), (8, 8, 8), (64, 64, 64), (192, 512, 512), (96, 256, 256)),
    ],
)
def test_planes_decoded_whole_have_flatter_chunks_and_level_1_is_cut_in_step(
    shape, voxel_nm, chunks, shards, coarser
):
    """Planes of 64 and 256 MB: 8 are the fewest, whatever they take."""
    info = new_volume("a.zarr", shape=shape, voxel_nm=VoxelNm(voxel_nm), dtype="uint8")
    layout = layout_of(info, by_rows=False)
    assert (layout.chunks, layout.shards) == (chunks, shards)
    assert layout.block == (shards[0], *shape[1:])
    levels = laid_out(info, layout).levels
    assert (levels[0].chunks, levels[0].shards) == (chunks, shards)
    assert levels[1].shards == coarser
    # a half of 192 is no whole number of chunks of 64, but of 32
    assert levels[1].chunks == ((32, 64, 64) if shape[0] == 300 else chunks)
    assert levels[2:] == info.levels[2:]


def test_rows_are_as_many_chunks_as_make_64_mb():
    info = new_volume("a.zarr", shape=(300, 500, 500), voxel_nm=VoxelNm((8, 8, 8)), dtype="uint8")
    assert layout_of(info, by_rows=True).block == (192, 512, 500)
    small = new_volume("a.zarr", shape=(20, 40, 50), voxel_nm=VoxelNm((8, 8, 8)), dtype="uint8")
    layout = layout_of(small, by_rows=True)
    assert layout.chunks == layout.shards == layout.block == (20, 40, 50)
    assert [level.chunks for level in laid_out(small, layout).levels] == [(20, 40, 50)]


@pytest.mark.parametrize(
    ("shape", "size", "shards"),
    [
        ((32, 8192, 8193), 1, (32, 128, 8320)),  # 65 chunks of 512 kB are 33 MB: one row of them
        ((32, 8192, 8192), 2, (32, 128, 8192)),
        ((32, 512, 2**20), 1, (32, 128, 2**14)),  # 8192 chunks in 64 parts, each 64 MB
        ((97, 512, 512), 1, (128, 512, 512)),
        ((1000, 512, 512), 1, (256, 512, 512)),  # 32 chunks deep, 8 at a time
    ],
)
def test_shards_are_equal_parts_of_up_to_64_mb(shape, size, shards):
    assert shards_along_rows(shape, chunks=(32, 128, 128), bytes_per_voxel=size) == shards
