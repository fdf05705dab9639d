import pytest

from volproc.grid.scale import parse_voxel_nm
from volproc.stages.evaluate.score_blocks import block_of
from volproc.volume.metadata import new_volume


@pytest.mark.parametrize(
    ("shape", "chunks", "expected"),
    [
        ((500, 250, 400), (64, 64, 64), (64, 256, 448)),  # all of a small plane
        ((500, 9000, 9000), (64, 64, 64), (64, 64 * 1, 64 * 32)),  # 2^23 voxels: as wide as fits
        ((500, 9000, 1500), (32, 64, 128), (32, 64 * 2, 128 * 12)),  # then further rows of chunks
        ((500, 9000, 9000), (1, 512, 512), (32, 512, 512)),  # thin chunks: 32 slices of them
        ((500, 9000, 9000), (20, 2048, 2048), (40, 2048, 2048)),  # one chunk across at least
    ],
)
def test_blocks_are_whole_chunks_of_few_slices_and_wide(shape, chunks, expected):
    info = new_volume(
        "t.zarr",
        shape=shape,
        voxel_nm=parse_voxel_nm((9, 9, 9)),
        dtype="uint8",
        kind="labels",
        chunks=chunks,
    )
    assert block_of(info) == expected


def test_blocks_with_a_halo_are_thick_and_square():
    info = new_volume(
        "t.zarr",
        shape=(500, 900, 900),
        voxel_nm=parse_voxel_nm((9, 9, 9)),
        dtype="uint8",
        kind="labels",
        chunks=(64, 64, 64),
    )
    assert block_of(info, (57, 57, 57)) == (128, 64 * 4, 64 * 4)
    assert block_of(info, (0, 57, 57)) == (64, 64 * 6, 64 * 5)
