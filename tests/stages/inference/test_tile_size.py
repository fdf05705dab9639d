from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.grid.box import whole_box
from volproc.stages.inference.layout import lay_out
from volproc.stages.inference.tile_size import (
    MAX_VOXELS,
    SHARD_VOXELS,
    Cut,
    choose_tile,
    cuts,
    shard_of,
)
from volproc.stages.inference.tiling import along

shapes = st.tuples(*[st.integers(1, 900)] * 3)


def pixels(layout):
    """That the network sees in all, counted pass by pass."""
    passes = (one for axis in "zyx" for one in layout.tiles(whole_box(layout.shape), axis))
    return sum(prod(along(one.axis, one.window.shape)[1:]) for one in passes)


@given(
    shape=shapes,
    halo=st.integers(0, 6),
    stride=st.sampled_from([4, 16]),
    slices_out=st.sampled_from([1, 6, 8, 12]),
    most=st.none() | st.integers(1, 20),
)
def test_tiles_are_multiples_of_the_stride_and_no_larger_than_wanted(
    shape, halo, stride, slices_out, most
):
    longest = most and most * stride
    tile = choose_tile(
        shape,
        halo=halo * stride,
        border=2 * stride,
        stride=stride,
        slices_out=slices_out,
        most=longest,
    )
    assert all(t % stride == 0 for t in tile)
    assert all(t <= -(-n // stride) * stride for t, n in zip(tile, shape))
    assert prod(tile) <= max(MAX_VOXELS, (7 * stride) ** 3)
    if longest:
        assert max(tile) <= longest


@pytest.mark.parametrize(
    ("shape", "others"),
    [
        ((518, 1638, 1638), [(528, 416, 416), (400, 608, 608), (528, 1648, 208)]),
        ((256, 1024, 1024), [(256, 512, 512), (128, 1024, 1024)]),
    ],
)
def test_other_cuts_cost_more(shape, others):
    how = {"halo": 80, "stride": 16, "slices_in": 12, "slices_out": 8}
    chosen = lay_out(shape, **how)
    least = pixels(chosen)
    assert prod(chosen.tile) <= MAX_VOXELS
    assert least < 1.5 * 3 / 8 * prod(shape)
    assert all(pixels(lay_out(shape, **how, tile=tile)) > least for tile in others)


def test_two_workers_have_something_to_do():
    layout = lay_out((300, 400, 400), halo=80, stride=16, slices_in=12, slices_out=8)
    assert layout.tile == (304, 400, 208)


@given(block=st.tuples(*[st.integers(1, 900)] * 3))
def test_shards_divide_the_block(block):
    shard = shard_of(block)
    assert all(b % s == 0 for b, s in zip(block, shard))
    assert prod(shard) <= SHARD_VOXELS or all(n % 2 for n in shard)
    assert shard_of(shard) == shard


@pytest.mark.parametrize(
    ("block", "shard"),
    [
        ((2**14, 2**13, 3), (2**12, 2**13, 3)),  # z twice: first of equals, too
        ((3, 2**14, 2**13), (3, 2**12, 2**13)),
        ((3, 2**13, 2**14), (3, 2**12, 2**13)),  # x, then y
        ((2**25, 3, 1), (2**25, 3, 1)),  # just as large as there may be
        ((2**13, 2**14 + 1, 1), (2**12, 2**14 + 1, 1)),  # the longest cannot be halved
    ],
)
def test_shards_are_halves_along_the_longest_even_axis(block, shard):
    assert shard_of(block) == shard


def test_a_cut_knows_how_often_its_voxels_are_looked_at():
    """100 voxels, halo 8, 4 mirrored, passes that answer 6 planes; counted by hand.

        one tile:   -4 to 104 is 108; 17 passes of 6
        two of 52:  -4 to 60 and 44 to 104 is 124; 9 passes each, for 48 to 54 is answered twice
        two of 60:  -4 to 68 and 52 to 104 is 124; 10 and 7 passes

    The least tile is 4 strides, but for a network that takes no longer ones than `most`.
    """
    found = {cut.tile: cut for cut in cuts(100, 8, 4, 4, 6, None)}
    assert found[100] == Cut(100, 1.08, 1.02)
    assert found[52] == Cut(52, 1.24, 1.08)
    assert found[60] == Cut(60, 1.24, 1.02)
    assert sorted(found) == [20, 24, 28, 36, 52, 60, 100]
    assert sorted(cut.tile for cut in cuts(100, 8, 4, 4, 6, 28)) == [20, 24, 28]
    assert list(cuts(3, 8, 4, 4, 6, None)) == [Cut(4, 12 / 3, 2)]


def test_of_equal_cuts_the_longest_in_z_then_y():
    """A volume of 2^20 voxels is one tile; one twice that is halved, along x where all cost one."""
    how = {"halo": 0, "border": 0, "stride": 1, "slices_out": 1}
    assert choose_tile((64, 128, 128), **how) == (64, 128, 128)
    assert choose_tile((128, 128, 128), **how) == (128, 128, 64)
    assert choose_tile((128, 128, 128), **how, most=32) == (32, 32, 32)


def test_where_no_tile_is_small_enough_the_smallest_is_taken():
    """Tiles of 4 strides of 160 voxels are beyond what a block may have."""
    assert choose_tile((1000,) * 3, halo=0, border=160, stride=160, slices_out=1) == (1120,) * 3
