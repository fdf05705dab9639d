import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from volproc.grid.blocks import Tiling
from volproc.stages.label.components import AXES_THAT_CHANGE, label_components, relabel
from volproc.stages.label.merge import block_borders, block_table, merge, touching_pairs
from volproc.stages.label.statistics import block_statistics

SIZES = [(1, 1, 1), (2, 2, 2), (3, 4, 2), (1, 5, 3), (4, 1, 100), (100, 100, 100)]


def label_in_blocks(mask, core, *, connectivity=26, minimum=1):
    """The stage without disk and engine: labels of the whole array, and what the merge found."""
    tiling = Tiling(mask.shape, core)
    local, borders, tables = [], [], []
    for block in tiling:
        labels, count = label_components(mask[block.core.slices], connectivity=connectivity)
        sides = block_borders(labels, block, tiling=tiling, connectivity=connectivity)
        local.append(labels)
        borders.append(sides)
        tables.append(
            block_table(
                labels, count, block=block, shape=mask.shape, borders=sides, minimum=minimum
            )
        )
    pairs = touching_pairs(
        tiling, connectivity=connectivity, load=lambda index, step: borders[index][step]
    )
    merged = merge(tables, pairs, minimum=minimum)
    whole = np.zeros(mask.shape, dtype=np.uint32)
    for block in tiling:
        whole[block.core.slices] = relabel(local[block.index].copy(), merged.lookup(block.index))
    return whole, merged


def label_whole(mask, *, connectivity=26, minimum=1):
    """scipy's labels, small objects removed, ids in the order of first voxels."""
    structure = ndimage.generate_binary_structure(3, AXES_THAT_CHANGE[connectivity])
    labels = ndimage.label(mask, structure)[0]
    ids, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    in_order = [i for i in np.argsort(first) if ids[i] > 0 and sizes[i] >= minimum]
    final = np.zeros(labels.max() + 1, dtype=np.uint32)
    final[ids[in_order]] = np.arange(1, len(in_order) + 1)
    return final[labels]


@settings(deadline=None)  # the first example compiles
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(*[st.integers(1, 8)] * 3),
    core=st.tuples(*[st.integers(1, 9)] * 3),
    share=st.floats(0.02, 0.6),
    connectivity=st.sampled_from([6, 18, 26]),
    minimum=st.integers(1, 6),
)
def test_blocks_give_what_the_whole_array_gives(seed, shape, core, share, connectivity, minimum):
    mask = np.random.default_rng(seed).random(shape) < share
    labels, merged = label_in_blocks(mask, core, connectivity=connectivity, minimum=minimum)
    expected = label_whole(mask, connectivity=connectivity, minimum=minimum)
    np.testing.assert_array_equal(labels, expected)
    statistics = block_statistics(expected, int(expected.max()), origin=(0, 0, 0), shape=mask.shape)
    np.testing.assert_array_equal(merged.objects.rows, statistics.rows)


@settings(deadline=None, max_examples=40)  # the first example compiles
@given(seed=st.integers(0, 2**32 - 1), core=st.tuples(*[st.integers(1, 7)] * 3))
def test_kept_and_dropped_are_all_there_is(seed, core):
    mask = np.random.default_rng(seed).random((6, 6, 6)) < 0.1
    _, merged = label_in_blocks(mask, core, minimum=2)
    everything = ndimage.label(mask, np.ones((3, 3, 3)))[1]
    assert len(merged.objects) + merged.dropped == everything


def diagonal_chain():
    mask = np.zeros((8, 8, 8), dtype=bool)
    mask[range(8), range(8), range(8)] = True
    return mask


def antidiagonal_chain():
    return diagonal_chain()[:, ::-1]


def checkerboard():
    return np.indices((6, 7, 8)).sum(axis=0) % 2 == 0


def spiral():
    """One object that winds through most blocks many times."""
    mask = np.zeros((3, 13, 13), dtype=bool)
    z, y, x, dy, dx = 1, 0, 0, 0, 1
    for length in (12, 12, 12, 10, 10, 8, 8, 6, 6, 4, 4, 2, 2):
        for _ in range(length):
            mask[z, y, x] = True
            y, x = y + dy, x + dx
        dy, dx = dx, -dy
    return mask


MADE = {
    "ones": np.ones((5, 6, 7), dtype=bool),
    "zeros": np.zeros((5, 6, 7), dtype=bool),
    "one slice": np.random.default_rng(2).random((1, 9, 9)) < 0.4,
    "one column": np.random.default_rng(3).random((9, 1, 1)) < 0.6,
    "diagonal": diagonal_chain(),
    "antidiagonal": antidiagonal_chain(),
    "checkerboard": checkerboard(),
    "spiral": spiral(),
    "noise": np.random.default_rng(4).random((9, 10, 11)) < 0.25,
}


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("name", MADE)
def test_labels_are_the_same_for_every_block_size(name, connectivity):
    expected = label_whole(MADE[name], connectivity=connectivity)
    for core in SIZES:
        labels, _ = label_in_blocks(MADE[name], core, connectivity=connectivity)
        np.testing.assert_array_equal(labels, expected, err_msg=f"blocks of {core}")


@pytest.mark.parametrize(
    ("name", "connectivity", "objects"),
    [
        ("diagonal", 26, 1),
        ("diagonal", 18, 8),
        ("antidiagonal", 26, 1),
        ("checkerboard", 18, 1),
        ("checkerboard", 6, 168),
        ("spiral", 6, 1),
    ],
)
def test_known_numbers_of_objects(name, connectivity, objects):
    _, merged = label_in_blocks(MADE[name], (2, 2, 2), connectivity=connectivity)
    assert len(merged.objects) == objects


def test_size_is_judged_on_whole_objects():
    """A rod of 8 voxels in four blocks stays whole; a speck of 2 on a border goes whole."""
    mask = np.zeros((2, 4, 8), dtype=bool)
    mask[0, 0, :] = True
    mask[1, 2, 1:3] = True
    labels, merged = label_in_blocks(mask, (2, 2, 2), minimum=3)
    assert labels[0, 0].tolist() == [1] * 8
    assert np.count_nonzero(labels) == 8
    assert merged.objects.voxels.tolist() == [8]
    assert merged.dropped == 1


def test_dust_inside_a_block_never_reaches_the_merge():
    mask = np.zeros((4, 4, 8), dtype=bool)
    mask[0, 0, 0] = mask[2, 2, 0] = mask[0, 0, 3] = True
    tiling = Tiling(mask.shape, (4, 4, 4))
    labels, count = label_components(mask[:, :, :4], connectivity=26)
    sides = block_borders(labels, tiling[0], tiling=tiling, connectivity=26)
    table = block_table(labels, count, block=tiling[0], shape=mask.shape, borders=sides, minimum=2)
    assert list(sides) == [(0, 0, 1)]
    assert table.dropped == 2
    assert table.border_ids.tolist() == [2]
    assert table.inner_ids.tolist() == []


def test_ids_are_uint32_while_they_fit():
    _, merged = label_in_blocks(MADE["noise"], (3, 3, 3))
    assert merged.lookup(0).dtype == np.uint32
