from math import prod

from hypothesis import given
from hypothesis import strategies as st

from volproc.grid.blocks import Tiling
from volproc.grid.scale import VoxelNm
from volproc.stages.ingest.layout import SLAB_BYTES, laid_out, layout_of
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
