from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volproc.errors import GridError
from volproc.grid.blocks import Tiling, forward_steps, reflected
from volproc.grid.box import Box, whole_box

shapes = st.tuples(*[st.integers(1, 12)] * 3)
halos = st.tuples(*[st.integers(0, 4)] * 3)


@given(shape=shapes, core=shapes)
def test_cores_cover_every_voxel_exactly_once(shape, core):
    seen = np.zeros(shape, dtype=int)
    for block in Tiling(shape, core, (2, 2, 2)):
        seen[block.core.slices] += 1
    assert (seen == 1).all()


@given(shape=shapes, core=shapes, halo=halos)
def test_blocks_read_their_halo_as_far_as_the_volume_goes(shape, core, halo):
    for block in Tiling(shape, core, halo):
        assert block.read == block.core.grow(halo).clip(whole_box(shape))


@given(shape=shapes, core=shapes)
def test_a_tiling_is_a_sequence_in_raster_order(shape, core):
    tiling = Tiling(shape, core)
    assert [block.index for block in tiling] == list(range(len(tiling)))
    assert [tiling.number(tiling.position(n)) for n in range(len(tiling))] == list(
        range(len(tiling))
    )
    starts = [block.core.start for block in tiling]
    assert starts == sorted(starts)
    assert tiling[1:3] == tuple(tiling)[1:3]
    with pytest.raises(IndexError):
        tiling[len(tiling)]


@given(shape=shapes, core=shapes, start=shapes, size=shapes)
def test_over_finds_the_blocks_that_meet_a_box(shape, core, start, size):
    box = Box(start, tuple(a + n for a, n in zip(start, size)))
    tiling = Tiling(shape, core)
    assert list(tiling.over(box)) == [b for b in tiling if b.core.clip(box).size]


@settings(max_examples=30)
@given(shape=st.tuples(*[st.integers(1, 5)] * 3), core=st.tuples(*[st.integers(1, 3)] * 3))
@pytest.mark.parametrize("connectivity", [6, 18, 26])
def test_touching_blocks_are_those_with_neighbouring_voxels(connectivity, shape, core):
    tiling = Tiling(shape, core)
    owner = np.zeros(shape, dtype=int)
    for block in tiling:
        owner[block.core.slices] = block.index
    wanted = set()
    for voxel, step in product(np.ndindex(*shape), forward_steps(connectivity)):
        there = tuple(a + b for a, b in zip(voxel, step))
        if all(0 <= p < n for p, n in zip(there, shape)) and owner[voxel] != owner[there]:
            wanted.add(frozenset((owner[voxel], owner[there])))
    pairs = [frozenset(pair[:2]) for pair in tiling.touching(connectivity)]
    assert wanted <= set(pairs)
    assert len(pairs) == len(set(pairs))


@pytest.mark.parametrize(("connectivity", "count"), [(6, 3), (18, 9), (26, 13)])
def test_forward_steps_are_half_the_neighbourhood(connectivity, count):
    steps = forward_steps(connectivity)
    assert len(steps) == count
    assert not {tuple(-s for s in step) for step in steps} & set(steps)


@given(size=st.integers(1, 9), before=st.integers(0, 30), after=st.integers(0, 30))
def test_reflection_is_that_of_numpy(size, before, after):
    wanted = np.pad(np.arange(size), (before, after), mode="reflect")
    assert reflected(-before, size + after, size).tolist() == wanted.tolist()


@pytest.mark.parametrize("core", [(0, 1, 1), (1, -1, 1)])
def test_impossible_blocks_are_refused(core):
    with pytest.raises(GridError, match="need at least 1 voxel per axis"):
        Tiling((4, 4, 4), core)
