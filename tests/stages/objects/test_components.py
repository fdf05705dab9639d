import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from volproc.grid.blocks import forward_steps
from volproc.stages.objects.components import (
    AXES_THAT_CHANGE,
    border,
    equal_values,
    label_components,
    most_at_border,
    most_components,
    relabel,
    touching_ids,
)


@pytest.mark.parametrize(("connectivity", "objects"), [(6, 4), (18, 2), (26, 1)])
def test_connectivity_decides_what_is_one_object(connectivity, objects):
    mask = np.zeros((3, 3, 3), dtype=bool)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[1, 2, 2] = mask[2, 2, 2] = True
    mask[2, 2, 1] = True
    mask[1, 1, 0] = True
    labels, count = label_components(mask, connectivity=connectivity)
    assert (
        count == ndimage.label(mask, ndimage.generate_binary_structure(3, connectivity // 9 + 1))[1]
    )
    assert labels.dtype == np.uint32
    assert count == labels.max()


def test_memory_order_does_not_change_ids():
    mask = np.random.default_rng(0).random((5, 6, 7)) > 0.7
    labels, _ = label_components(mask, connectivity=6)
    transposed, _ = label_components(np.asfortranarray(mask), connectivity=6)
    np.testing.assert_array_equal(labels, transposed)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 4, 5), (3, 1, 1)])
def test_thin_volumes(shape):
    assert label_components(np.ones(shape, dtype=bool), connectivity=26)[1] == 1
    assert label_components(np.zeros(shape, dtype=bool), connectivity=26)[1] == 0


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 511, 511), (5, 1, 7), (3, 3, 3), (9, 9, 9)])
def test_as_many_objects_as_the_volume_can_hold(shape, connectivity):
    """cc3d alone stops at some of these."""
    mask = np.zeros(shape, dtype=bool)
    mask[::2, ::2, ::2] = True
    labels, count = label_components(mask, connectivity=connectivity)
    assert count == mask.sum()
    assert labels.shape == shape
    assert np.array_equal(labels > 0, mask)


def brute_force_pairs(near, far, step, connectivity):
    """The two borders put side by side in one array, every pair of voxels compared."""
    allowed = AXES_THAT_CHANGE[connectivity]
    pairs = set()
    for p in np.argwhere(near):
        for q in np.argwhere(far):
            apart = [abs(s) if s else abs(int(d)) for s, d in zip(step, q - p, strict=True)]
            if max(apart) <= 1 and sum(apart) <= allowed:
                pairs.add((int(near[tuple(p)]), int(far[tuple(q)])))
    return pairs


@settings(deadline=None)  # the first example compiles
@given(
    step=st.sampled_from(forward_steps(26)),
    connectivity=st.sampled_from([6, 18, 26]),
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(*[st.integers(1, 4)] * 3),
)
def test_touching_ids_are_all_neighbours_and_no_others(step, connectivity, seed, shape):
    if sum(map(abs, step)) > AXES_THAT_CHANGE[connectivity]:
        return
    random = np.random.default_rng(seed)
    near, far = (
        border(random.integers(0, 4, shape, dtype=np.uint32), s)
        for s in (step, tuple(-s for s in step))
    )
    found = touching_ids(near, far, step=step, connectivity=connectivity)
    assert len(set(map(tuple, found))) == len(found)
    assert set(map(tuple, found.tolist())) == brute_force_pairs(near, far, step, connectivity)


@given(
    arrays(
        st.sampled_from([np.uint8, np.int16, np.uint32, np.uint64]),
        st.tuples(*[st.integers(1, 5)] * 3),
        elements=st.sampled_from([0, 1, 7, 100]),
    )
)
def test_equal_values_get_one_id_each_in_the_order_of_values(values):
    large = values * np.array(2**57 + 1 if values.dtype == np.uint64 else 1, values.dtype)
    ids, found = equal_values(large[::-1])
    expected = np.unique(large[large > 0]).astype(np.uint64)
    assert found.tolist() == expected.tolist()
    looked_up = np.concatenate([np.zeros(1, np.uint64), found])[ids].astype(large.dtype)
    np.testing.assert_array_equal(looked_up, large[::-1])


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
def test_relabel_looks_every_voxel_up(dtype):
    labels = np.random.default_rng(1).integers(0, 9, (3, 4, 5), dtype=np.uint32)
    table = np.array([0, 5, 0, 7, 1, 2, 3, 9, 8], dtype=dtype)
    expected = table[labels]
    result = relabel(labels, table)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)
    assert (result is labels) == (dtype == np.uint32)


@settings(max_examples=60)
@given(
    shape=st.tuples(*[st.integers(1, 5)] * 3),
    connectivity=st.sampled_from([6, 18, 26]),
    seed=st.integers(0, 2**32 - 1),
    share=st.floats(0.05, 0.6),
)
def test_no_box_holds_more_components_than_are_planned_for(shape, connectivity, seed, share):
    mask = np.random.default_rng(seed).random(shape) < share
    labels, count = label_components(mask, connectivity=connectivity)
    assert count <= most_components(shape, connectivity=connectivity, classes=False)
    inner = np.zeros(shape, dtype=bool)
    inner[1:-1, 1:-1, 1:-1] = True
    at_border = len(set(labels[~inner].ravel().tolist()) - {0})
    assert at_border <= most_at_border(shape, connectivity=connectivity, classes=False)
