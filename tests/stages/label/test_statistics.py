import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops

from volproc.grid.blocks import Tiling
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.label.statistics import (
    block_statistics,
    describe,
    joined,
    no_statistics,
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


def test_describe_gives_voxels_and_nm():
    labels = np.zeros((4, 6, 8), dtype=np.uint32)
    labels[1:3, 2:4, 3:6] = 1
    labels[0, 5, 7] = 2
    objects = block_statistics(labels, 2, origin=(0, 0, 0), shape=labels.shape)
    columns = describe(objects, voxel_nm=parse_voxel_nm((50, 10, 20)), shape=labels.shape)
    first = {name: values[0] for name, values in columns.items()}
    assert first["voxels"] == 12
    assert first["volume_um3"] == pytest.approx(12 * 50 * 10 * 20 * 1e-9)
    assert [first[f"centroid_{a}"] for a in "zyx"] == [1.5, 2.5, 4.0]
    assert [first[f"centroid_{a}_nm"] for a in "zyx"] == [100, 30, 90]
    assert [first[f"start_{a}_nm"] for a in "zyx"] == [50, 20, 60]
    assert [first[f"stop_{a}_nm"] for a in "zyx"] == [150, 40, 120]
    assert columns["touches_border"].tolist() == [False, True]
    assert columns["id"].tolist() == [1, 2]


def test_no_objects():
    assert len(no_statistics().merged(np.empty(0, dtype=np.int32), count=0)) == 0
    columns = describe(no_statistics(), voxel_nm=parse_voxel_nm((1, 1, 1)), shape=(1, 1, 1))
    assert all(len(values) == 0 for values in columns.values())
