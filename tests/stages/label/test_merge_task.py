import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.grid.blocks import Tiling
from volproc.stages.label.merge_task import MERGE_BYTES, Groups, groups_of


@given(
    counts=st.tuples(*[st.integers(1, 5)] * 3),
    seed=st.integers(0, 99),
    most=st.integers(1, 200),
)
def test_groups_hold_every_block_once_and_no_more_rows_than_asked(counts, seed, most):
    blocks = Tiling(tuple(3 * n for n in counts), (3, 3, 3))
    rows = np.random.default_rng(seed).integers(0, 20, len(blocks)).tolist()
    groups = groups_of(blocks, rows, most=most)
    members = [groups.members(n) for n in range(len(groups.grid))]
    assert sorted(i for some in members for i in some) == list(range(len(blocks)))
    for some in members:
        assert len(some) == 1 or sum(rows[i] for i in some) <= most
    layers = list(groups.layers())
    assert [n for some, _ in layers for n in some] == list(range(len(groups.grid)))
    assert layers[-1][1] == blocks.shape[0]
    for some, end in layers:
        assert all(blocks[i].core.stop[0] <= end for n in some for i in members[n])


def test_one_group_where_all_fits():
    groups = groups_of(Tiling((8, 8, 8), (2, 2, 2)), [3] * 64, most=192)
    assert len(groups.grid) == 1


def test_a_group_of_2_to_the_20_rows_is_whole():
    """Merging takes 864 bytes a row, so less than 1 GB."""
    assert MERGE_BYTES == 6 * 8 * 18
    blocks = Tiling((2, 1, 1), (1, 1, 1))
    assert [len(groups_of(blocks, [2**19, n]).grid) for n in (2**19, 2**19 + 1)] == [1, 2]


@pytest.mark.parametrize(
    ("most", "core"),
    [
        *((30, (3, 5, 2)), (29, (3, 3, 2)), (18, (3, 3, 2)), (17, (2, 3, 2)), (11, (2, 2, 2))),
        *((7, (1, 2, 2)), (3, (1, 1, 2)), (1, (1, 1, 1)), (0, (1, 1, 1))),
    ],
)
def test_groups_are_halved_along_their_longest_side_in_voxels(most, core):
    """3 x 5 x 2 blocks of 8 x 6 x 4 voxels and a row each; of equal sides the first axis."""
    groups = groups_of(Tiling((24, 30, 8), (8, 6, 4)), [1] * 30, most=most)
    assert groups.grid.core == core


def test_layers_end_where_their_last_slice_does():
    """5 blocks along z, of 4 voxels and the last of 2, in groups of 2; two groups side by side."""
    groups = Groups(Tiling((18, 8, 4), (4, 4, 4)), Tiling((5, 2, 1), (2, 1, 1)))
    assert list(groups.layers()) == [(range(0, 2), 8), (range(2, 4), 16), (range(4, 6), 18)]
    assert [groups.members(n) for n in (1, 2, 5)] == [[1, 3], [4, 6], [9]]
