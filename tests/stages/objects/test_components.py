import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from volproc.grid.blocks import forward_steps
from volproc.stages.objects.components import (
    AXES_THAT_CHANGE,
    border,
    equal_values,
    most_at_border,
    most_components,
    touching_ids,
)
from volproc.stages.objects.runs import runs_of


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 511, 511), (5, 1, 7), (3, 3, 3), (9, 9, 9)])
def test_as_many_objects_as_the_volume_can_hold(shape, connectivity):
    mask = np.zeros(shape, dtype=bool)
    mask[::2, ::2, ::2] = True
    groups = runs_of(mask).connected(connectivity)
    assert groups.count == mask.sum()
    assert np.array_equal(groups.painted() > 0, mask)


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


@settings(max_examples=60)
@given(
    shape=st.tuples(*[st.integers(1, 5)] * 3),
    connectivity=st.sampled_from([6, 18, 26]),
    seed=st.integers(0, 2**32 - 1),
    share=st.floats(0.05, 0.6),
)
def test_no_box_holds_more_components_than_are_planned_for(shape, connectivity, seed, share):
    mask = np.random.default_rng(seed).random(shape) < share
    groups = runs_of(mask).connected(connectivity)
    labels = groups.painted()
    assert groups.count <= most_components(shape, connectivity=connectivity, classes=False)
    inner = np.zeros(shape, dtype=bool)
    inner[1:-1, 1:-1, 1:-1] = True
    at_border = len(set(labels[~inner].ravel().tolist()) - {0})
    assert at_border <= most_at_border(shape, connectivity=connectivity, classes=False)
