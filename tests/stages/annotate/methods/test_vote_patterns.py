import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from volproc.stages.annotate.methods.vote_patterns import count_patterns

SHAPE = (6, 8)
crowds = st.integers(1, 70).flatmap(lambda n: arrays(np.bool_, (n, *SHAPE), fill=st.booleans()))
margins = st.tuples(st.integers(0, 3), st.integers(0, 9))


def runs_of(mask):
    """The mask as runs along its rows, voxel by voxel."""
    found = []
    for y, row in enumerate(mask):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row, [0]])))
        found += [(y, start, stop) for start, stop in edges.reshape(-1, 2)]
    return np.array(found, dtype=np.int32).reshape(-1, 3)


def counted(masks, margin=(1, 1)):
    return count_patterns(list(map(runs_of, masks)), margin_yx=margin, shape_yx=masks.shape[1:])


def in_box(found):
    return tuple(
        slice(first, first + length)
        for first, length in zip(found.origin_yx, found.which.shape, strict=True)
    )


@given(masks=crowds.filter(np.any), margin=margins)
def test_every_voxel_keeps_its_votes(masks, margin):
    found = counted(masks, margin)
    votes = np.zeros((*SHAPE, len(masks)))
    votes[in_box(found)] = found.patterns[found.which]
    np.testing.assert_array_equal(votes, np.moveaxis(masks, 0, -1))
    assert found.unanimous == (masks.all(axis=0) == masks.any(axis=0)).all()
    # each pattern once: that is what makes it fast
    assert len(np.unique(found.patterns, axis=0)) == len(found.patterns)


@given(masks=crowds.filter(np.any), margin=margins)
def test_the_band_is_where_volunteers_disagree_and_around(masks, margin):
    found = counted(masks, margin)
    disagree = masks.any(axis=0) & ~masks.all(axis=0)
    band = ndimage.binary_dilation(disagree, np.ones([2 * m + 1 for m in margin]))
    expected = np.bincount(found.which[band[in_box(found)]], minlength=len(found.patterns))
    np.testing.assert_array_equal(found.voxels, expected)


@given(masks=crowds.filter(np.any))
def test_a_map_keeps_what_is_unanimous(masks):
    found = counted(masks)
    patch = found.map(np.full(len(found.patterns), 0.3))
    values = patch.onto(SHAPE)
    assert values.dtype == np.float32
    assert (values[masks.all(axis=0)] == 1).all()
    assert (values[~masks.any(axis=0)] == 0).all()
    assert (values[masks.any(axis=0) & ~masks.all(axis=0)] == np.float32(0.3)).all()


@pytest.mark.parametrize("volunteers", [0, 1, 40])
def test_nobody_marked_anything(volunteers):
    assert counted(np.zeros((volunteers, *SHAPE), dtype=bool)) is None
