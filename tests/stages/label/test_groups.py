import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from volproc.grid.blocks import Tiling
from volproc.stages.label.groups import groups_of


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
