from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.grid.box import whole_box
from volproc.stages.predict.cutting import MOST_VOXELS, SHARD_VOXELS, choose_tile, shard_of
from volproc.stages.predict.orientation import along
from volproc.stages.predict.tiling import lay_out

shapes = st.tuples(*[st.integers(1, 900)] * 3)


def pixels(layout):
    """That the network sees in all, counted pass by pass."""
    passes = (one for axis in "zyx" for one in layout.passes(whole_box(layout.shape), axis))
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
    assert prod(tile) <= max(MOST_VOXELS, (7 * stride) ** 3)
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
    assert prod(chosen.tile) <= MOST_VOXELS
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
