import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from volproc.grid.blocks import Tiling
from volproc.stages.scores.sparse_sums import SparseSums
from volproc.stages.scores.surface_distances import compare
from volproc.stages.scores.surface_elements import surface_elements
from volproc.stages.scores.surface_sums import (
    NOTHING,
    Surface,
    distances_of,
    halo_of,
    surface_sums,
)

NM = (30.0, 10.0, 8.1)
masks = arrays(np.bool_, (9, 12, 11), elements=st.sampled_from([True, False, False, False]))


def by_blocks(a, b, core, most_nm):
    """Sums of blocks that see no more than their halo."""
    tiling = Tiling(a.shape, core, halo=halo_of(NM, most_nm))

    def of(block):
        own = block.core.within(block.read.start)
        sides = (
            Surface(surface_elements(side[block.read.slices], at_border=False), NM, most_nm)
            for side in (a, b)
        )
        return surface_sums(*sides, start=own.start, stop=own.stop)

    return SparseSums.added(map(of, tiling), nothing=NOTHING)


@given(
    a=masks, b=masks, core=st.tuples(*[st.integers(1, 12)] * 3), most=st.sampled_from([25.0, 60])
)
def test_blocks_of_any_size_add_up_to_the_same_bits(a, b, core, most):
    whole, parts = (by_blocks(a, b, cut, most) for cut in (a.shape, core))
    assert parts.keys.tolist() == whole.keys.tolist()
    assert parts.counts.tolist() == whole.counts.tolist()


@given(a=masks, b=masks)
def test_sums_hold_the_distances_of_the_whole(a, b):
    found = distances_of(by_blocks(a, b, (4, 5, 6), 1e4), nm=NM)
    expected = compare(a, b, nm=NM, at_border=False, missing_nm=1e4).surfaces
    sums, whole = (one.scores([20]) for one in (found, expected))
    # where exactly 95% are below a distance, rounding decides which of two neighbours it is
    assert sums.pop("hd95_nm") == pytest.approx(whole.pop("hd95_nm"), rel=0.5)
    assert sums == pytest.approx(whole, rel=1e-6)


def test_what_is_farther_counts_as_the_most():
    a, b = np.zeros((2, 9, 12, 40), bool)
    a[3:6, 4:8, 2:5] = True
    b[3:6, 4:8, 35:38] = True
    far = distances_of(by_blocks(a, b, (9, 12, 7), 100.0), nm=NM).scores([50])
    assert (far["masd_nm"], far["hd_nm"], far["nsd_50"]) == pytest.approx((100, 100, 0))
    alone = distances_of(by_blocks(a, np.zeros_like(b), (9, 12, 7), 100.0), nm=NM).scores([50])
    alone = (alone["masd_nm"], alone["hd95_nm"], alone["bf_50"])
    assert alone == pytest.approx((100, 100, 0))
    assert distances_of(by_blocks(b & a, b & a, (9, 12, 7), 100.0), nm=NM).is_nothing
