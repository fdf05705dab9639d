import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import adapted_rand_error, variation_of_information

from volproc.grid.blocks import Tiling
from volproc.stages.scores import sparse_sums
from volproc.stages.scores.contingency import (
    NOTHING,
    Contingency,
    block_contingency,
)
from volproc.stages.scores.sparse_sums import SparseSums

labels = arrays(np.uint16, (4, 6, 5), elements=st.integers(0, 4))


def table(truth, result):
    return Contingency.of(block_contingency(truth, result))


def slow_quality(truth, result):
    """PQ, SQ, RQ of all pairs of objects."""
    true, found = (np.unique(side[side > 0]) for side in (truth, result))
    ious = [
        ((truth == t) & (result == r)).sum() / ((truth == t) | (result == r)).sum()
        for t in true
        for r in found
    ]
    matched = [iou for iou in ious if iou > 0.5]
    rq = len(matched) / ((len(true) + len(found)) / 2)
    sq = np.mean(matched) if matched else 0.0
    return sq * rq, sq, rq


@given(truth=labels.filter(np.any), result=labels.filter(np.any))
def test_against_scikit_image_and_all_pairs(truth, result):
    scores = table(truth, result).scores()
    split, merge = variation_of_information(truth, result, ignore_labels=(0,))
    assert (scores["voi_split"], scores["voi_merge"]) == pytest.approx((split, merge), abs=1e-9)
    assert (scores["pq"], scores["sq"], scores["rq"]) == pytest.approx(slow_quality(truth, result))
    with np.errstate(all="ignore"):
        error, of_truth, of_result = adapted_rand_error(truth, result)
    if scores["adapted_rand_error"] is not None:
        assert scores["adapted_rand_error"] == pytest.approx(error)
        # scikit-image 0.26 divides for its precision by the pairs of the true image
        assert scores["rand_recall"] == pytest.approx(of_truth)
        assert scores["rand_precision"] == pytest.approx(of_result)


@given(truth=labels, result=labels, core=st.tuples(*[st.integers(1, 6)] * 3))
def test_blocks_add_up(truth, result, core):
    blocks = Tiling(truth.shape, core)
    parts = (block_contingency(truth[b.core.slices], result[b.core.slices]) for b in blocks)
    added, whole = SparseSums.added(parts, nothing=NOTHING), block_contingency(truth, result)
    assert added.keys.tolist() == whole.keys.tolist()
    assert added.counts.tolist() == whole.counts.tolist()


def test_parts_that_come_are_added_up_on_the_way(monkeypatch):
    monkeypatch.setattr(sparse_sums, "MERGED_ROWS", 3)
    parts = [block_contingency(*np.full((2, 1, 2, 2), k % 5 + 1)) for k in range(40)]
    added = SparseSums.added(iter(parts), nothing=NOTHING)
    assert added.keys.tolist() == [[k, k] for k in range(1, 6)]
    assert added.counts.tolist() == [4 * 8] * 5


def bars(*widths):
    """Objects 1, 2, ... side by side."""
    return np.repeat(np.arange(1, len(widths) + 1), widths)[None, None].astype(np.uint32)


def test_a_split_in_halves():
    """One of two objects of 40 voxels in halves: PQ, VOI and Rand in closed form."""
    found = table(bars(40, 40), bars(20, 20, 40))
    scores = found.scores()
    assert found.splits() == {1: [1, 2]}
    assert found.merges() == {}
    assert scores["voi_split"] == pytest.approx(0.5)  # one bit in half of the voxels
    assert scores["voi_merge"] == 0
    assert (scores["objects_tp"], scores["objects_fp"], scores["objects_fn"]) == (1, 2, 1)
    assert scores["pq"] == pytest.approx(1 / (1 + 2 / 2 + 1 / 2))
    pairs = {n: n * (n - 1) for n in (20, 40)}
    recall = (2 * pairs[20] + pairs[40]) / (2 * pairs[40])
    assert scores["rand_precision"] == 1
    assert scores["rand_recall"] == pytest.approx(recall)
    assert scores["adapted_rand_error"] == pytest.approx(1 - 2 * recall / (1 + recall))


def test_a_merge_is_a_split_seen_from_the_other_side():
    found = table(bars(20, 20, 40), bars(40, 40))
    scores = found.scores()
    assert found.merges() == {1: [1, 2]}
    assert found.splits() == {}
    assert (scores["voi_split"], scores["voi_merge"]) == pytest.approx((0, 0.5))


def test_dust_is_no_fragment():
    truth, result = bars(1000), bars(995, 5)
    assert table(truth, result).splits() == {}
    assert table(truth, bars(985, 15)).splits() == {1: [1, 2]}


def test_fragments_belong_to_where_most_of_them_lies():
    """The second object of the result lies half and half: it is a fragment of neither."""
    assert table(bars(50, 50), bars(40, 20, 40)).splits() == {}


def test_nothing_and_something():
    nothing, something = np.zeros((2, 3, 4), np.uint8), np.ones((2, 3, 4), np.uint8)
    neither = table(nothing, nothing).scores()
    assert {neither[k] for k in ("pq", "sq", "rq", "voi_split", "adapted_rand_error")} == {None}
    missed = table(something, nothing).scores()
    assert (missed["pq"], missed["objects_fn"], missed["voi_split"]) == (0, 1, 0)
    made_up = table(nothing, something).scores()
    assert (made_up["pq"], made_up["objects_fp"], made_up["voi_split"]) == (0, 1, None)


def test_ids_of_64_bits_are_kept():
    truth = np.full((1, 1, 3), 2**63 + 5, dtype=np.uint64)
    result = np.array([[[7, 7, 2**64 - 1]]], dtype=np.uint64)
    pairs = block_contingency(truth, result)
    assert pairs.keys.tolist() == [[2**63 + 5, 7], [2**63 + 5, 2**64 - 1]]
    assert pairs.counts.tolist() == [2, 1]
