"""Parts of a block cover it once, read no more than it, and have its votes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volproc.grid.box import Box
from volproc.model.normalisation import Normalisation
from volproc.stages.inference.tiling import Layout
from volproc.stages.predict.parts import cuts_tiles, halves_of, smallest_part

STRIDE = 4
threes = st.tuples(*[st.integers(1, 8)] * 3)


def layout(tile, offset=(0, 0, 0), **other):
    how = {"shape": (70, 80, 90), "halo": 8, "border": 4, "stride": STRIDE}
    return Layout(tile=tile, offset=offset, slices_in=3, slices_out=1, **{**how, **other})


@settings(max_examples=60, deadline=None)
@given(
    tile=threes,
    offset=threes,
    start=st.tuples(*[st.integers(0, 30)] * 3),
    size=st.tuples(*[st.integers(1, 40)] * 3),
    cut_tiles=st.booleans(),
)
def test_halves_cover_a_block_once_and_read_no_more(tile, offset, start, size, cut_tiles):
    sides = tuple(STRIDE * n for n in tile)
    tiles = layout(sides, tuple(STRIDE * n % side for n, side in zip(offset, sides, strict=True)))
    waiting = [(Box(start, tuple(np.add(start, size))), tiles)]
    whole, found = waiting[0], np.zeros(size, int)
    around = tiles.window(whole[0], "zyx")
    while waiting:
        core, own = waiting.pop()
        halves = halves_of(core, own, cut_tiles=cut_tiles)
        if halves:
            waiting.extend(halves)
            continue
        found[core.within(start).slices] += 1
        read = own.window(core, "zyx")
        assert read.clip(around) == read
        assert own.tile == sides or cut_tiles
        limit = STRIDE if cut_tiles else max(sides)
        assert max(core.shape) <= 2 * limit
    assert (found == 1).all()


def test_tiles_that_show_are_not_cut(small, predict):
    plan = predict(small, halo=4, plan_only=True)
    assert not cuts_tiles(plan.layout, plan.network)
    core, own = smallest_part(plan.blocks[0].core, plan.layout, "zyx", cut_tiles=False)
    assert own == plan.layout
    assert cuts_tiles(predict(small, plan_only=True).layout, plan.network)
    assert core.size > 0


@pytest.mark.parametrize("masked", [False, True])
def test_parts_have_the_votes_of_the_block(small, predict, masked):
    plan = predict(small, plan_only=True, tile=(20, 36, 36), block=(20, 36, 36))
    task, block = plan.task(Normalisation(120.0, 40.0)), plan.blocks[0]
    loaded = task.load(block)
    if masked:
        inside = np.arange(block.core.size).reshape(block.core.shape) % 3 > 0
        loaded = type(loaded)(loaded.values, inside, loaded.host)
    whole = task.vote(block, loaded).numpy()
    assert np.ptp(whole) > 10
    parts = [(block.core, plan.layout)]
    for _ in range(4):
        parts = [half for part in parts for half in halves_of(*part, cut_tiles=True)]
    assert len(parts) == 16
    for core, own in parts:
        found = task._vote_part(block.core, loaded, False, core, own).numpy()
        assert np.abs(found.astype(int) - whole[:, :, *core.slices]).max() <= 1
