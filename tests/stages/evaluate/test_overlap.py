import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volproc.fusion import FUSIONS, fuse
from volproc.stages.evaluate.overlap import (
    Overlap,
    overlap_by_slice,
)
from volproc.stages.evaluate.result import fused_votes
from volproc.stages.evaluate.scores import Score, Scores


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shape=st.tuples(*[st.integers(1, 6)] * 3))
def test_counts_and_scores_equal_their_definitions(seed, shape):
    random = np.random.default_rng(seed)
    result, truth = random.random((2, *shape)) < 0.5
    counts = overlap_by_slice(result, truth)
    assert counts.shape == (shape[0], 3)
    whole = Overlap(*counts.sum(axis=0).tolist())
    intersection, union = (result & truth).sum(), (result | truth).sum()
    assert whole.tp == intersection
    assert whole.fp == (result & ~truth).sum()
    assert whole.fn == (~result & truth).sum()
    if result.any() and truth.any():
        assert whole.dice == pytest.approx(2 * intersection / (result.sum() + truth.sum()))
        assert whole.iou == pytest.approx(intersection / union)
        assert whole.precision == pytest.approx(intersection / result.sum())
        assert whole.recall == pytest.approx(intersection / truth.sum())


def test_scores_without_voxels_are_undefined_not_perfect():
    assert Overlap().as_row() == {
        "dice": None, "iou": None, "precision": None, "recall": None, "tp": 0, "fp": 0, "fn": 0,
    }  # fmt: skip
    missed = Overlap(fn=5)
    assert (missed.dice, missed.precision, missed.recall) == (0.0, None, 0.0)


def test_answers_are_the_axes_and_the_modes_of_fusion():
    votes = np.random.default_rng(0).integers(0, 256, (3, 2, 3, 4), dtype=np.uint8)
    answers = [inside for inside, _ in fused_votes(votes, threshold=0.5)]
    assert len(answers) == 3 + len(FUSIONS)
    np.testing.assert_array_equal(answers[1], votes[1] >= 128)
    for mode, answer in zip(FUSIONS, answers[3:], strict=True):
        np.testing.assert_array_equal(answer, fuse(votes, mode=mode, threshold=0.5) >= 128)


def test_slices_can_be_summed():
    score = Score("mean", {z: Overlap(z, 1, 0) for z in range(5)})
    assert score.whole == Overlap(10, 5, 0)
    assert score.between(2, 4) == Overlap(5, 2, 0)
    assert Scores((score,), {})["mean"] is score


def test_counts_add_up():
    assert Overlap(1, 20, 300) + Overlap(4, 50, 600) == Overlap(5, 70, 900)
