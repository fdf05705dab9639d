from heapq import heappop, heappush

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from volproc.grid.box import Box
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.interior.geodesic_growth import FREE, INSIDE, OUTSIDE, WALL, grown, halo_of

VOXEL_NM = parse_voxel_nm((50, 40, 40))
shapes = st.tuples(*[st.integers(1, 8)] * 3)


def states_like(rng, shape):
    return rng.choice([FREE, INSIDE, OUTSIDE, WALL], shape, p=[0.66, 0.02, 0.02, 0.3]).astype("u1")


def by_dijkstra(states, reach_nm):
    """Shortest ways, one voxel after another."""
    heap = [
        (0.0, states[tuple(p)] == OUTSIDE, *map(int, p))
        for p in np.argwhere((states == INSIDE) | (states == OUTSIDE))
    ]
    heap.sort()
    done = {}
    while heap:
        way, outside, *place = heappop(heap)
        place = tuple(place)
        if place in done:
            continue
        done[place] = outside
        for axis in range(3):
            for step in (-1, 1):
                there = tuple(p + step * (a == axis) for a, p in enumerate(place))
                longer = way + VOXEL_NM[axis]
                within = all(0 <= p < n for p, n in zip(there, states.shape))
                if within and states[there] == FREE and longer <= reach_nm:
                    heappush(heap, (longer, outside, *there))
    out = states.copy()
    for place, outside in done.items():
        out[place] = OUTSIDE if outside else INSIDE
    return out


@given(st.integers(0, 2**32), shapes, st.integers(0, 500))
@settings(max_examples=40)
def test_it_is_dijkstras_answer(seed, shape, reach_nm):
    states = states_like(np.random.default_rng(seed), shape)
    found = grown(states, voxel_nm=VOXEL_NM, reach_nm=reach_nm)
    np.testing.assert_array_equal(found, by_dijkstra(states, reach_nm))


@given(st.integers(0, 2**32))
@settings(max_examples=20)
def test_a_block_with_its_halo_has_what_the_whole_has(seed):
    states = states_like(np.random.default_rng(seed), (16, 20, 22))
    core = Box((6, 6, 8), (10, 12, 15))
    read = core.grow(halo_of(200, voxel_nm=VOXEL_NM)).clip(Box((0, 0, 0), states.shape))
    whole = grown(states, voxel_nm=VOXEL_NM, reach_nm=200)
    part = grown(states[read.slices], voxel_nm=VOXEL_NM, reach_nm=200)
    np.testing.assert_array_equal(part[core.within(read.start).slices], whole[core.slices])


def test_inside_and_outside_meet_in_the_hole_of_a_wall():
    states = np.zeros((9, 9, 11), np.uint8)
    states[:, :, 5] = WALL
    states[4, 4, 5] = FREE
    states[:, :, 0], states[:, :, 10] = INSIDE, OUTSIDE
    found = grown(states, voxel_nm=parse_voxel_nm((10, 10, 10)), reach_nm=1000)
    assert (found[:, :, :5] == INSIDE).all()
    assert (found[:, :, 6:] == OUTSIDE).all()


def test_it_does_not_grow_further_than_it_may():
    line = np.zeros((1, 1, 9), np.uint8)
    line[0, 0, 0] = INSIDE
    found = grown(line, voxel_nm=parse_voxel_nm((10, 10, 10)), reach_nm=30)
    assert found[0, 0].tolist() == [INSIDE] * 4 + [FREE] * 5


def test_at_equal_length_the_inside_wins():
    line = np.array([OUTSIDE, FREE, FREE, FREE, INSIDE], np.uint8)
    for states in (line, line[::-1]):
        found = grown(states[None, None], voxel_nm=parse_voxel_nm((10, 10, 10)), reach_nm=100)
        assert found[0, 0, 1:4].tolist().count(INSIDE) == 2
        assert found[0, 0, 2] == INSIDE
