"""Counts of a region do not depend on the blocks in which it is looked at."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from volproc.grid.box import Box
from volproc.grid.scale import VoxelNm
from volproc.stages.scores.contingency import Contingency, block_contingency
from volproc.stages.scores.surface_distances import compare
from volproc.stages.train.region_counts import Counts, Masks, counts_of

CUBE = VoxelNm((50.0, 50.0, 50.0))
ANISOTROPIC = VoxelNm((40.0, 9.0, 13.0))


def masks_in(box: Box, *, truth: Any, known: Any, answers: Any) -> Masks:
    return Masks(truth[box.slices], known[box.slices], [one[box.slices] for one in answers])


def counted(truth: Any, *answers: Any, known: Any = None, **how: Any) -> list[Counts]:
    known = np.ones_like(truth) if known is None else known
    read = partial(masks_in, truth=truth, known=known, answers=answers)
    return counts_of(truth.shape, read, **{"voxel_nm": CUBE, "tolerance_nm": 100.0, **how})


def made(seed: int, share: float) -> np.ndarray:
    """Three masks with components of many sizes, in (3, z, y, x)."""
    noise = np.random.default_rng(seed).normal(size=(3, 11, 14, 17))
    smooth = ndimage.gaussian_filter(noise, (0, 0.7, 0.7, 0.7))
    return smooth > np.quantile(smooth, 1 - share)


@given(
    block=st.sampled_from([(3, 5, 17), (4, 4, 4), (1, 14, 17), (11, 3, 6), (5, 14, 2), (2, 6, 9)]),
    seed=st.integers(0, 99),
    share=st.sampled_from([0.05, 0.3, 0.6]),
    voxel_nm=st.sampled_from([CUBE, ANISOTROPIC]),
)
@settings(max_examples=12, deadline=None)
def test_no_block_size_changes_a_count(
    block: tuple[int, int, int], seed: int, share: float, voxel_nm: VoxelNm
) -> None:
    truth, *answers = made(seed, share)
    known = made(seed + 1, 0.8)[0]
    how = {"known": known, "voxel_nm": voxel_nm, "tolerance_nm": 2 * voxel_nm[1]}
    whole = counted(truth, *answers, **how)
    for one, cut in zip(whole, counted(truth, *answers, **how, block=block), strict=True):
        assert (one.both, one.either, one.objects) == (cut.both, cut.either, cut.objects)
        assert np.array_equal(one.surfaces.keys, cut.surfaces.keys)
        assert np.array_equal(one.surfaces.counts, cut.surfaces.counts)
        assert cut.iou == pytest.approx(one.iou, rel=1e-12)


@pytest.mark.parametrize("voxel_nm", [CUBE, ANISOTROPIC])
def test_they_are_the_scores_of_whole_arrays(voxel_nm: VoxelNm) -> None:
    truth, other, _ = made(3, 0.1)
    answer = truth ^ (other & (np.arange(truth.shape[2]) > 9))
    tolerance = 2 * voxel_nm[2]
    (found,) = counted(truth, answer, voxel_nm=voxel_nm, tolerance_nm=tolerance, block=(4, 5, 6))
    scores = found.scores(voxel_nm, tolerance)
    by_hand = compare(truth, answer, nm=voxel_nm, at_border=False).scores([tolerance])
    ids = [ndimage.label(mask, np.ones((3, 3, 3)))[0] for mask in (truth, answer)]
    assert scores["dice"] == pytest.approx(by_hand["dice"], rel=1e-12)
    # sizes of elements are whole multiples of 2^-24 there
    assert scores["boundary_f"] == pytest.approx(by_hand[f"bf_{tolerance:g}"], rel=1e-6)
    objects = Contingency.of(block_contingency(*ids)).scores()
    assert scores["pq"] == pytest.approx(objects["pq"], rel=1e-12)
    assert 0 < (scores["pq"] or 0) < 1


def test_what_nobody_annotated_does_not_count() -> None:
    rng = np.random.default_rng(0)
    truth, result = rng.random((2, 9, 10, 11)) < 0.4
    known = np.zeros(truth.shape, bool)
    known[:, :6] = True
    other = np.where(known, result, ~result)
    one, two = (n.scores(CUBE, 100) for n in counted(truth, result, other, known=known))
    assert one["dice"] == two["dice"]
    assert one["pq"] == two["pq"]
    (cut,) = counted(truth[:, :6], result[:, :6])
    assert one["dice"] == cut.scores(CUBE, 100)["dice"]
    assert one["pq"] == cut.scores(CUBE, 100)["pq"]


def test_counts_of_two_regions_add_up() -> None:
    truth, result = np.zeros((2, 6, 8, 20), bool)
    truth[1:4, 2:6, 2:5] = truth[2:5, 1:4, 12:16] = True
    result[1:4, 2:6, 2:6] = result[2:5, 4:7, 12:16] = True
    halves = [(slice(None), slice(None), part) for part in (slice(0, 10), slice(10, 20))]
    one, other = (counted(truth[h], result[h])[0] for h in halves)
    (whole,) = counted(truth, result)
    assert (one + other).scores(CUBE, 100) == pytest.approx(whole.scores(CUBE, 100))


def test_nothing_on_either_side_has_no_score() -> None:
    nothing = np.zeros((4, 5, 6), bool)
    (found,) = counted(nothing, nothing)
    assert set(found.scores(CUBE, 100).values()) == {None}
