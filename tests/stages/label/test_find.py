import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from volproc.config import LabelOptions
from volproc.errors import VolumeError
from volproc.grid.blocks import Tiling
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.label.find import plan_find
from volproc.stages.label.source import ArraySource
from volproc.stages.objects.statistics import block_statistics
from volproc.volume.metadata import new_volume

SIZES = [(3, 4, 3), (2, 5, 100), (100, 100, 100)]
SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.tuples(*[st.integers(1, 8)] * 3)
CORES = st.tuples(*[st.integers(2, 9)] * 3)
GROUPS = st.sampled_from([1, 10, 2**20])
"""Rows that are merged at once: groups of single blocks, of some, and one of all."""


@settings(max_examples=30)
@given(
    seed=SEEDS,
    shape=SHAPES,
    core=CORES,
    share=st.floats(0.02, 0.6),
    connectivity=st.sampled_from([6, 18, 26]),
    minimum=st.integers(1, 6),
    most=GROUPS,
)
def test_blocks_and_groups_give_what_the_whole_array_gives(
    label_in_blocks, label_whole, seed, shape, core, share, connectivity, minimum, most
):
    mask = np.random.default_rng(seed).random(shape) < share
    labels, objects, found = label_in_blocks(
        mask, core, most_rows=most, connectivity=connectivity, min_volume_um3=minimum
    )
    expected = label_whole(mask, connectivity=connectivity, minimum=minimum)
    np.testing.assert_array_equal(labels, expected)
    statistics = block_statistics(expected, int(expected.max()), origin=(0, 0, 0), shape=shape)
    np.testing.assert_array_equal(objects.rows, statistics.rows)
    everything = label_whole(mask, connectivity=connectivity).max()
    assert len(objects) + sum(found.dropped.values()) == everything


@settings(max_examples=12)
@given(seed=SEEDS, shape=SHAPES, core=CORES, most=GROUPS, connectivity=st.sampled_from([6, 18, 26]))
def test_of_classes_equal_values_connect(
    label_in_blocks, label_whole, seed, shape, core, most, connectivity
):
    classes = np.random.default_rng(seed).integers(0, 4, shape).astype("uint8")
    labels, objects, _ = label_in_blocks(
        classes, core, most_rows=most, connectivity=connectivity, input="classes"
    )
    for value in (1, 2, 3):
        ours = np.where(classes == value, labels, 0)
        alone = label_whole(classes == value, connectivity=connectivity)
        ranks = np.unique(ours, return_inverse=True)[1].reshape(shape)
        offset = 0 if (ours == 0).any() else 1
        np.testing.assert_array_equal(ranks + offset, alone)
        assert np.count_nonzero(objects.value == value) == alone.max()
    firsts = [np.flatnonzero(labels == i)[0] for i in range(1, labels.max() + 1)]
    assert firsts == sorted(firsts)


@settings(max_examples=12)
@given(seed=SEEDS, shape=SHAPES, core=CORES, most=GROUPS, dtype=st.sampled_from(["u2", "i4", "u8"]))
def test_labels_are_one_object_wherever_they_are(label_in_blocks, seed, shape, core, most, dtype):
    rng = np.random.default_rng(seed)
    values = np.array([0, 7, 3, 900, np.iinfo(dtype).max], dtype=dtype)
    given_labels = values[rng.integers(0, len(values), shape)]
    how = {"most_rows": most, "input": "labels"}
    same, objects, _ = label_in_blocks(given_labels, core, keep_ids=True, **how)
    np.testing.assert_array_equal(same, given_labels)
    dense, _, _ = label_in_blocks(given_labels, core, **how)
    present = [given_labels.reshape(-1)[i] for i in objects.first]
    for new, old in enumerate(present, start=1):
        np.testing.assert_array_equal(dense == new, given_labels == old)
    assert objects.first.tolist() == sorted(objects.first)
    assert objects.voxels.sum() == np.count_nonzero(given_labels)


def diagonal_chain():
    mask = np.zeros((8, 8, 8), dtype=bool)
    mask[range(8), range(8), range(8)] = True
    return mask


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
    "antidiagonal": diagonal_chain()[:, ::-1],
    "checkerboard": np.indices((6, 7, 8)).sum(axis=0) % 2 == 0,
    "spiral": spiral(),
}


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("name", MADE)
def test_labels_are_the_same_for_every_block_size(label_in_blocks, label_whole, name, connectivity):
    expected = label_whole(MADE[name], connectivity=connectivity)
    for core, most in zip(SIZES, (1, 5, 1), strict=True):
        labels, _, _ = label_in_blocks(MADE[name], core, connectivity=connectivity, most_rows=most)
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
def test_known_numbers_of_objects(label_in_blocks, name, connectivity, objects):
    labels, _, _ = label_in_blocks(MADE[name], (2, 2, 2), connectivity=connectivity, most_rows=9)
    assert labels.max() == objects


def test_blocks_of_one_voxel(label_in_blocks, label_whole):
    mask = np.random.default_rng(5).random((3, 4, 4)) < 0.3
    labels, _, _ = label_in_blocks(mask, (1, 1, 1), most_rows=4)
    np.testing.assert_array_equal(labels, label_whole(mask))


def test_size_is_judged_on_whole_objects(label_in_blocks):
    """A rod of 8 voxels in four blocks stays whole; a speck of 2 on a border goes whole."""
    mask = np.zeros((2, 4, 8), dtype=bool)
    mask[0, 0, :] = True
    mask[1, 2, 1:3] = True
    labels, objects, found = label_in_blocks(mask, (2, 2, 2), min_volume_um3=3)
    assert labels[0, 0].tolist() == [1] * 8
    assert np.count_nonzero(labels) == 8
    assert objects.voxels.tolist() == [8]
    assert found.dropped == {"min_volume_um3": 1}
    assert found.largest_dropped == 2


@settings(max_examples=12)
@given(seed=SEEDS, core=CORES, most=GROUPS, count=st.integers(1, 12))
def test_the_largest_are_kept_the_earlier_of_equals(
    label_in_blocks, label_whole, seed, core, most, count
):
    mask = np.random.default_rng(seed).random((6, 7, 8)) < 0.12
    whole = label_whole(mask)
    sizes = np.bincount(whole.ravel())[1:]
    chosen = sorted(np.argsort(-sizes, kind="stable")[:count] + 1)
    labels, objects, found = label_in_blocks(mask, core, most_rows=most, largest=count)
    expected = np.zeros(len(sizes) + 1, dtype=int)
    expected[chosen] = np.arange(1, len(chosen) + 1)
    np.testing.assert_array_equal(labels, expected[whole])
    assert objects.voxels.tolist() == sizes[np.array(chosen, dtype=int) - 1].tolist()
    assert found.dropped.get("largest", 0) == max(0, len(sizes) - count)


@settings(max_examples=12)
@given(seed=SEEDS, core=CORES, most=GROUPS)
def test_filters_see_whole_objects(label_in_blocks, label_whole, seed, core, most):
    mask = np.random.default_rng(seed).random((7, 8, 9)) < 0.15
    options = {"border": "drop", "max_volume_um3": 9, "min_extent_nm": (0, 2000, 1000)}
    labels, objects, found = label_in_blocks(mask, core, most_rows=most, **options)
    whole = label_whole(mask)
    kept = [
        i
        for i, (z, y, x) in enumerate(ndimage.find_objects(whole), start=1)
        if min(z.start, y.start, x.start) > 0
        and (z.stop < 7 and y.stop < 8 and x.stop < 9)
        and y.stop - y.start >= 2
        and np.count_nonzero(whole == i) <= 9
    ]
    final = np.zeros(whole.max() + 1, dtype=int)
    final[kept] = np.arange(1, len(kept) + 1)
    np.testing.assert_array_equal(labels, final[whole])
    assert len(objects) + sum(found.dropped.values()) == whole.max()


def planned(array, core=(4, 4, 4), **options):
    size = parse_voxel_nm((1000, 1000, 1000))
    info = new_volume("mask", shape=array.shape, voxel_nm=size, dtype=str(array.dtype))
    blocks = Tiling(array.shape, core)
    options = LabelOptions(**options)
    return plan_find(ArraySource(info, array), "tables", options, blocks=blocks)


def test_memory_depends_on_the_block_not_on_the_volume():
    small, large = (
        planned(np.broadcast_to(np.uint8(1), shape)) for shape in [(8, 8, 8), (4000, 4000, 40)]
    )
    assert small.label_step.peak_bytes == large.label_step.peak_bytes
    merge = [plan.steps[1].peak_bytes for plan in (small, large)]
    assert merge[0] < merge[1] <= 2**30


def test_an_eighth_of_a_blocks_voxels_may_be_objects():
    fine = planned(np.broadcast_to(True, (512, 512, 512)), (128, 128, 128), connectivity=6,
                   min_volume_um3=0)  # fmt: skip
    assert fine.rows_of_a_block == 128**3 // 8


def test_noise_is_refused_rather_than_out_of_memory(label_in_blocks, monkeypatch):
    monkeypatch.setattr("volproc.stages.label.passes.PLANNED_ROWS", 8)
    with pytest.raises(VolumeError, match=r"hold 32 objects of 1 voxels or more, 8 were planned"):
        label_in_blocks(MADE["checkerboard"][:4, :4, :4], (4, 4, 4), connectivity=6)


@pytest.mark.parametrize("input", ["classes", "labels"])
def test_classes_are_whole_numbers(input):
    with pytest.raises(VolumeError, match=r"holds float32; .* needs whole numbers"):
        planned(np.ones((2, 2, 2), dtype="float32"), input=input)


@pytest.mark.parametrize("input", ["mask", "classes", "labels"])
def test_values_below_0_are_refused(label_in_blocks, input):
    values = np.zeros((4, 4, 4), dtype="int8")
    values[1, 1, 1] = -1
    with pytest.raises(VolumeError, match=r"below 0 \(the lowest is -1\)"):
        label_in_blocks(values, (4, 4, 4), input=input)


def test_more_components_than_a_block_has_ids_for():
    with pytest.raises(VolumeError, match=r"more components than the 4294967295 that have ids"):
        planned(np.broadcast_to(True, (2048, 2048, 1024)), (2048, 2048, 1024))
