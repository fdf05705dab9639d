import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from volproc.grid.box import Box
from volproc.stages.objects.components import border
from volproc.stages.objects.runs import most_bytes, runs_of

shapes = st.tuples(*[st.integers(1, 9)] * 3)
TYPES = [bool, np.uint8, np.int16, np.uint32, np.int64, np.uint64]


def block(seed, shape, dtype, *, share=0.6):
    """Random values, some of them beyond what an int64 holds where the type allows it."""
    random = np.random.default_rng(seed)
    high = np.iinfo(dtype).max if dtype is not bool else 1
    values = np.array([1, 2, high], dtype)[random.integers(0, 3, shape)]
    return np.where(random.random(shape) < share, values, np.zeros(1, dtype))


def expected_components(values, connectivity):
    """scipy's components of each value, numbered anew in the order of their first voxels."""
    near = ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity])
    found = np.zeros(values.shape, np.int64)
    for value in np.unique(values[values != 0]):
        parts = ndimage.label(values == value, near)[0]
        found[parts > 0] = parts[parts > 0] + found.max()
    _, first, back = np.unique(found[found > 0], return_index=True, return_inverse=True)
    found[found > 0] = np.argsort(np.argsort(first))[back] + 1
    return found


@given(st.integers(0, 2**32), shapes, st.sampled_from(TYPES), st.sampled_from([0.2, 0.6, 1]))
def test_painted_runs_are_the_voxels_they_were_found_in(seed, shape, dtype, share):
    values = block(seed, shape, dtype, share=share)
    runs = runs_of(values)
    assert runs.lengths.sum() == np.count_nonzero(values)
    groups = runs.equal()
    assert groups.values.tolist() == np.unique(values[values != 0]).tolist()
    table = np.concatenate([np.zeros(1, groups.values.dtype), groups.values])
    np.testing.assert_array_equal(groups.painted(table), values)
    assert groups.sizes.tolist() == [np.count_nonzero(values == one) for one in groups.values]


@settings(deadline=None)  # the first example compiles
@given(st.integers(0, 2**32), shapes, st.sampled_from(TYPES), st.sampled_from([6, 18, 26]))
def test_connected_runs_are_scipys_components_in_the_order_of_their_first_voxels(
    seed, shape, dtype, connectivity
):
    values = block(seed, shape, dtype)
    groups = runs_of(values).connected(connectivity)
    expected = expected_components(values, connectivity)
    np.testing.assert_array_equal(groups.painted(), expected)
    assert groups.count == expected.max()
    first = [tuple(np.argwhere(expected == n + 1)[0]) for n in range(groups.count)]
    assert groups.values.tolist() == [values[place] for place in first]
    assert groups.first_rows.tolist() == [z * shape[1] + y for z, y, _ in first]


@given(st.integers(0, 2**32), shapes)
def test_slices_are_connected_each_by_itself(seed, shape):
    mask = block(seed, shape, bool)
    found = runs_of(mask).connected("slices").painted()
    before = 0
    for plane, expected in zip(found, mask, strict=True):
        parts, count = ndimage.label(expected, np.ones((3, 3)))
        np.testing.assert_array_equal(plane, np.where(parts, parts + before, 0))
        before += count


@given(st.integers(0, 2**32), shapes, st.data())
def test_a_box_and_a_border_are_parts_of_the_whole(seed, shape, data):
    groups = runs_of(block(seed, shape, np.uint8)).connected(26)
    whole = groups.painted()
    start = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, shape, strict=True))
    box = Box(start, stop)
    np.testing.assert_array_equal(groups.painted(box=box), whole[box.slices])
    step = tuple(data.draw(st.sampled_from([-1, 0, 1])) for _ in shape)
    np.testing.assert_array_equal(groups.border(step), border(whole, step))


def test_memory_order_does_not_change_ids():
    mask = np.random.default_rng(0).random((5, 6, 7)) > 0.7
    rows, columns = (runs_of(one).connected(6).painted() for one in (mask, np.asfortranarray(mask)))
    np.testing.assert_array_equal(rows, columns)


@pytest.mark.parametrize("share", [0, 1])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 4, 5), (3, 1, 1), (2, 2, 300)])
def test_thin_empty_and_full_blocks(shape, share):
    groups = runs_of(np.full(shape, bool(share))).connected(26)
    assert groups.count == share
    assert (groups.painted() == share).all()


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
def test_a_table_gives_its_type(dtype):
    mask = np.array([[[1, 0, 1, 1, 0, 1]]], np.uint8)
    table = np.array([0, 5, 0, 7], dtype)
    painted = runs_of(mask).connected(6).painted(table)
    assert painted.dtype == dtype
    assert painted.tolist() == [[[5, 0, 0, 0, 0, 7]]]


@pytest.mark.parametrize("classes", [False, True])
def test_the_worst_block_takes_the_planned_memory(classes):
    values = np.zeros((4, 5, 31), np.uint16)
    values[..., ::2] = 1
    if classes:
        values[..., 1::2] = 2
    groups = runs_of(values).connected(6)
    parts = (groups.runs.rows[1:], groups.runs.start, groups.runs.stop, groups.runs.values)
    taken = sum(part.nbytes for part in (*parts, groups.numbers))
    assert taken == most_bytes(values.shape, value_bytes=2, classes=classes)
