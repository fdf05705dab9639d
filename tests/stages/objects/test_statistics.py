import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops

from volproc.grid.blocks import Tiling
from volproc.stages.objects.statistics import (
    block_statistics,
    joined,
    no_statistics,
    voxel_counts,
)


def random_labels(seed, shape, ids=5):
    labels = np.random.default_rng(seed).integers(0, ids + 1, shape, dtype=np.uint32)
    labels.reshape(-1)[: ids + 1] = np.arange(ids + 1)  # every id is there
    return labels


@settings(deadline=None)  # the first example compiles
@given(seed=st.integers(0, 2**32 - 1), shape=st.tuples(*[st.integers(2, 7)] * 3))
def test_statistics_equal_skimage(seed, shape):
    labels = random_labels(seed, shape)
    objects = block_statistics(labels, 5, origin=(0, 0, 0), shape=shape)
    for row, region in enumerate(regionprops(labels)):
        assert objects.voxels[row] == region.num_pixels
        assert (*objects.start[row], *objects.stop[row]) == region.bbox
        assert tuple(objects.sums[row]) == tuple(region.coords.sum(axis=0))
        assert objects.first[row] == np.flatnonzero(labels == region.label)[0]


@settings(deadline=None)  # the first example compiles
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(*[st.integers(2, 7)] * 3),
    core=st.tuples(*[st.integers(1, 8)] * 3),
)
def test_statistics_add_up_across_blocks(seed, shape, core):
    labels = random_labels(seed, shape)
    parts, groups = [], []
    for block in Tiling(shape, core):
        inside = np.ascontiguousarray(labels[block.core.slices])
        found = block_statistics(inside, 5, origin=block.core.start, shape=shape)
        here = np.flatnonzero(found.voxels)
        parts.append(found.take(here))
        groups.append(here)
    whole = joined(parts).merged(np.concatenate(groups), count=5)
    expected = block_statistics(labels, 5, origin=(0, 0, 0), shape=shape)
    np.testing.assert_array_equal(whole.rows, expected.rows)


def test_sums_of_huge_volumes_do_not_overflow():
    origin, shape = (10**6, 10**6, 10**6), (10**6 + 1, 10**6 + 1, 10**6 + 2)
    labels = np.ones((1, 1, 2), dtype=np.uint32)
    objects = block_statistics(labels, 1, origin=origin, shape=shape)
    assert objects.sums.tolist() == [[2 * 10**6, 2 * 10**6, 2 * 10**6 + 1]]
    z, y, x = origin
    assert objects.first[0] == (z * shape[1] + y) * shape[2] + x


def test_only_those_that_are_wanted():
    labels = random_labels(1, (4, 5, 6))
    wanted = np.array([False, True, False, True, True])
    how = {"origin": (2, 3, 4), "shape": (9, 9, 19)}
    some = block_statistics(labels, 5, requested=wanted, **how)
    everything = block_statistics(labels, 5, **how)
    np.testing.assert_array_equal(some.rows, everything.rows[wanted])


@given(seed=st.integers(0, 99), shape=st.tuples(*[st.integers(2, 7)] * 3))
def test_counts_are_those_of_numpy(seed, shape):
    labels = random_labels(seed, shape)
    assert voxel_counts(labels, 5).tolist() == np.bincount(labels.ravel(), minlength=6).tolist()


def test_no_objects():
    assert len(no_statistics().merged(np.empty(0, dtype=np.int32), count=0)) == 0
