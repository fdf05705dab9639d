from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from volproc import LabelOptions
from volproc.errors import VolumeError
from volproc.grid.blocks import Tiling
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.label.mask_source import ArraySource
from volproc.stages.label.object_search import find_objects, plan_find
from volproc.stages.objects.runs import most_bytes
from volproc.stages.objects.statistics import ROW_BYTES, block_statistics
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
@example(  # a block of 3 voxels in a row holds 2 objects
    seed=0, shape=(3, 3, 4), core=(2, 2, 3), share=0.5625, connectivity=18, minimum=4, most=1
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


def planned(array, core=(4, 4, 4), *, tables="tables", channels=(), **options):
    shape, size = array.shape[-3:], parse_voxel_nm((1000, 1000, 1000))
    how = {"shape": shape, "voxel_nm": size, "dtype": str(array.dtype), "channels": channels}
    blocks = Tiling(shape, core)
    options = LabelOptions(**options)
    source = ArraySource(new_volume("mask", **how), array)
    return plan_find(source, tables, options, blocks=blocks)


@pytest.mark.parametrize(
    ("dtype", "options", "components", "rows"),
    [
        ("uint8", {"connectivity": 26}, 8, 8),  # every second voxel along each axis
        ("uint16", {"connectivity": 6}, 32, 32),
        ("uint16", {"connectivity": 6, "min_volume_um3": 9}, 32, 32),
        ("uint8", {"input": "classes"}, 64, 64),  # each voxel of another class
        ("uint16", {"input": "labels"}, 64, 64),
    ],
)
def test_costs_are_sums_of_bytes_per_voxel_component_and_row(dtype, options, components, rows):
    """Of 27 blocks of 4 x 4 x 4: value and foreground; runs; 13 a component; rows three times."""
    array = np.broadcast_to(np.array(1, dtype), (12, 12, 12))
    plan = planned(array, **{"min_volume_um3": 0, **options})
    label, merge, _ = plan.steps
    ids = plan.ids_step(plan.merged_as_one)
    value = array.dtype.itemsize
    assert plan.rows_of_a_block == rows
    several = plan.options.input != "mask"
    runs = most_bytes(
        (4, 4, 4),
        value_bytes=value if several else 1,
        classes=several,
        equal=plan.options.input == "labels",
    )
    assert plan.finding_bytes == 64 * (value + 1) + runs + components * 13
    assert label.peak_bytes == plan.finding_bytes + 3 * rows * ROW_BYTES
    assert label.bytes_read == 12**3 * value
    assert merge.peak_bytes == 6 * 27 * rows * ROW_BYTES
    assert ids.peak_bytes == 27 * rows * ROW_BYTES
    # two borders across each axis, both of their sides
    assert label.bytes_written == merge.bytes_read == 3 * 2 * 2 * 12 * 12


@pytest.mark.parametrize(("most", "rows"), [(10**9, 27 * 8), (100, 100), (3, 8)])
def test_a_group_has_the_rows_that_are_merged_at_once_or_a_blocks(most, rows):
    plan = planned(np.broadcast_to(np.uint8(1), (12, 12, 12)), min_volume_um3=0)
    plan = replace(plan, most_rows=most)
    assert plan.ids_step(plan.merged_as_one).peak_bytes == rows * ROW_BYTES


def test_what_is_found_hangs_on_its_own_options_only():
    """Another filter finds no components again; other blocks, thresholds or voxels do."""
    mask = np.ones((8, 8, 8), dtype="uint8")
    name = planned(mask, min_volume_um3=1).tables.digest
    later = {"largest": 1, "border": "drop", "max_volume_um3": 9, "image_grid": True}
    assert planned(mask, min_volume_um3=1, **later).tables.digest == name
    others = [
        planned(mask, min_volume_um3=2),
        planned(mask, min_volume_um3=1, connectivity=6),
        planned(mask, min_volume_um3=1, threshold=0.4),
        planned(mask, min_volume_um3=1, input="labels"),
        planned(mask, (8, 4, 4), min_volume_um3=1),
        planned(np.zeros_like(mask), min_volume_um3=1),
    ]
    assert len({name, *(plan.tables.digest for plan in others)}) == 7


class Stopped(Exception):
    pass


class Forgetful:
    """A runner that remembers what it was told to forget, and runs nothing."""

    def __init__(self):
        self.forgotten = []

    def forget(self, step):
        self.forgotten.append(step)

    def run(self, step):
        raise Stopped


@pytest.mark.parametrize(
    ("folder", "steps"), [("gone", ["label", "merge", "unite", "number", "ids"]), (".", [])]
)
def test_records_count_as_long_as_the_tables_are_there(tmp_path, folder, steps):
    plan, runner = planned(np.ones((4, 4, 4)), tables=str(tmp_path / folder)), Forgetful()
    with pytest.raises(Stopped):
        find_objects(plan, runner)
    assert runner.forgotten == steps


def test_channels_are_refused_by_name():
    with pytest.raises(VolumeError, match=r"mask has channels \(x, y\), the votes of single axes"):
        planned(np.ones((2, 4, 4, 4), dtype="uint8"), channels=("x", "y"))


def test_a_mask_of_zero_and_one_is_told_apart_from_an_empty_one(label_in_blocks):
    """Refused with a way out only if no block has foreground, and some voxel is not 0."""
    mask = np.zeros((4, 4, 8), dtype="uint8")
    assert not label_in_blocks(mask, (4, 4, 4), threshold=0.5)[0].any()
    mask[1, 1, 6] = 1
    with pytest.raises(VolumeError, match=r"its highest value is 1: .* threshold = 0"):
        label_in_blocks(mask, (4, 4, 4), threshold=0.5)
    mask[1, 1, 1] = 255
    assert np.count_nonzero(label_in_blocks(mask, (4, 4, 4), threshold=0.5)[0]) == 1


def test_a_mask_at_its_threshold_is_foreground(label_in_blocks):
    """[label] threshold = 0.5 of uint8 is 128 of 255."""
    mask = np.array([[[0, 127, 0, 128, 0, 129]]], dtype="uint8")
    labels, _, _ = label_in_blocks(mask, (1, 1, 6), threshold=0.5)
    assert labels[0, 0].tolist() == [0, 0, 0, 1, 0, 2]


@pytest.mark.parametrize("most_rows", [1, 2**20])
def test_who_dropped_what_and_the_largest_of_it(label_in_blocks, most_rows):
    """Dust of a block, a pair across blocks, one that is too long, and two that are kept."""
    mask = np.zeros((4, 12, 8), dtype=bool)
    mask[1, 1, 1] = True
    mask[1, 5, 3:5] = True
    mask[1, 9, 1:8] = True
    mask[2, 2, 5:7] = mask[3, 6, 6:8] = True
    options = {"min_volume_um3": 2, "max_extent_nm": (9000, 9000, 3000)}
    labels, objects, found = label_in_blocks(mask, (4, 4, 4), most_rows=most_rows, **options)
    assert found.dropped == {"min_volume_um3": 1, "max_extent_nm": 1}
    assert found.largest_dropped == 7
    assert objects.voxels.tolist() == [2, 2, 2]
    assert labels[1, 5, 3] == labels[1, 5, 4] == 1
    assert label_in_blocks(mask, (4, 4, 4), most_rows=most_rows)[2].largest_dropped == 0


@pytest.mark.parametrize(("most_rows", "open_rows"), [(2**20, 0), (1, 4)])
def test_memory_is_asked_for_the_components_that_go_on(label_in_blocks, most_rows, open_rows):
    """A rod through four groups has a part in each; what ends in its group is none."""
    mask = np.zeros((2, 4, 8), dtype=bool)
    mask[0, 0, :] = mask[1, 3, 0] = True
    found = label_in_blocks(mask, (2, 4, 2), most_rows=most_rows)[2]
    assert found.merged.uniting_bytes == open_rows * 6 * ROW_BYTES


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
    monkeypatch.setattr("volproc.stages.label.component_tasks.PLANNED_ROWS", 8)
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
