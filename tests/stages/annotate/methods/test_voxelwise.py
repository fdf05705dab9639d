from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volproc import AnnotateOptions
from volproc.drawing import SliceVotes, Stroke, Vote
from volproc.stages.annotate.methods import METHODS
from volproc.stages.annotate.methods.vote_patterns import count_patterns
from volproc.stages.annotate.methods.voxelwise import em, majority, rasa, staple
from volproc.stages.scores.surface_distances import compare

NM = (10.0, 10.0)
SHAPE = (110, 130)
PEERS = ("majority", "em", "rasa", "staple")
# of a voxel of 10 nm: cria follows outlines in steps, and where it begins is anybody's choice
WITHIN_NM = dict.fromkeys(METHODS, 0.1) | {"cria": 3.0}
RULES = {"majority": majority, "em": em, "rasa": rasa, "staple": staple}


def circle(radius, centre=(55.0, 65.0), *, wobble=0.0, phase=0.0):
    """A closed stroke around a point, its radius changing with the angle."""
    angles = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    r = radius + wobble * np.sin(3 * angles + phase) + wobble * np.sin(5 * angles - 2 * phase)
    points = np.stack([centre[0] + r * np.sin(angles), centre[1] + r * np.cos(angles)], axis=1)
    return Stroke(points.astype(np.float32), closed=True)


def crowd(n, seed=0, *, wobble=1.5):
    """Volunteers who draw the same circle, each with errors of their own."""
    rng = np.random.default_rng(seed)
    return [
        Vote(
            f"volunteer {k}",
            (
                circle(
                    30 + rng.normal(0, 1),
                    (55 + rng.normal(0, 1), 65 + rng.normal(0, 1)),
                    wobble=wobble,
                    phase=rng.uniform(0, 7),
                ),
            ),
        )
        for k in range(n)
    ]


def agreement(method, votes, shape=SHAPE, nm=NM):
    patch = METHODS[method](SliceVotes(0, (0, 0), shape, tuple(votes)), nm, {}, AnnotateOptions())
    values = patch.onto(shape)
    assert values.dtype == np.float32
    assert (values >= 0).all()
    assert (values <= 1).all()
    return values


def truth():
    y, x = np.indices(SHAPE) + 0.5
    return np.hypot(y - 55, x - 65) < 30


def masd(mask, other):
    return compare(mask, other, nm=NM).scores()["masd_nm"]


def test_every_method_of_the_options_is_there():
    assert set(METHODS) == set(get_args(AnnotateOptions.model_fields["method"].annotation))


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 99), n=st.integers(1, 6), absent=st.integers(0, 3), data=st.data())
@settings(max_examples=15)
def test_the_order_of_volunteers_is_nothing(method, seed, n, absent, data):
    votes = [*crowd(n, seed), *(Vote(f"absent {k}") for k in range(absent))]
    there = agreement(method, votes)
    again = agreement(method, data.draw(st.permutations(votes)))
    if method in PEERS:
        np.testing.assert_array_equal(again, there)
    assert masd(there >= 0.5, again >= 0.5) < WITHIN_NM[method]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [1, 2, 7])
def test_equal_votes_give_that_vote_back(method, n):
    (stroke,) = crowd(1)[0].strokes
    alone = agreement("majority", [Vote("one", (stroke,))])
    found = agreement(method, [Vote(str(k), (stroke,)) for k in range(n)])
    assert masd(alone == 1, found >= 0.5) <= WITHIN_NM[method]
    if method != "cria":
        np.testing.assert_array_equal(found >= 0.5, alone == 1)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_on_the_slice(method):
    assert not agreement(method, []).any()
    assert not agreement(method, [Vote("a"), Vote("b")]).any()
    one_point = Stroke(np.full((1, 2), 5, dtype=np.float32))
    assert not agreement(method, [Vote("a", (one_point,)), Vote("b")]).any()


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 99), n=st.integers(2, 7))
@settings(max_examples=10)
def test_flips_and_transposition_commute(method, seed, n):
    def moved(votes, change):
        return [
            Vote(v.volunteer, tuple(Stroke(change(s.points), s.closed) for s in v.strokes))
            for v in votes
        ]

    votes = crowd(n, seed)
    there = agreement(method, votes)
    turned = agreement(method, moved(votes, lambda p: p[:, ::-1].copy()), SHAPE[::-1])
    flipped = agreement(method, moved(votes, lambda p: np.float32(SHAPE) - p))
    # a centre on a line belongs to one side of it only
    assert masd(there >= 0.5, turned.T >= 0.5) < WITHIN_NM[method]
    assert masd(there >= 0.5, flipped[::-1, ::-1] >= 0.5) < WITHIN_NM[method]


@pytest.mark.parametrize("method", PEERS)
@pytest.mark.parametrize("n", [5, 11])
def test_better_than_most_who_drew(method, n):
    votes = crowd(n, wobble=2.5)
    found = masd(truth(), agreement(method, votes) >= 0.5)
    alone = [masd(truth(), agreement("majority", [vote]) == 1) for vote in votes]
    assert found < np.median(alone)


@pytest.mark.parametrize("method", PEERS)
def test_graffiti_of_one_in_ten_hardly_moves_the_outline(method):
    votes = crowd(9)
    zigzag = np.stack([np.tile([5.0, 105.0], 30), np.linspace(4, 126, 60)], axis=1)
    drawn = agreement(method, [*votes, Vote("graffiti", (Stroke(np.float32(zigzag), True),))])
    without = agreement(method, votes)
    assert masd(without >= 0.5, drawn >= 0.5) < 6


# not STAPLE: to it, who leaves all out is as likely blind, and two who agree as likely right
@pytest.mark.parametrize("method", ["majority", "em", "rasa"])
def test_absent_votes_count(method):
    """Two who draw where seven see nothing do not win."""
    assert not (agreement(method, [*crowd(2), *map(Vote, "abcdefg")]) >= 0.5).any()


@given(seed=st.integers(0, 99), n=st.integers(1, 9))
@settings(max_examples=15)
def test_majority_is_the_share_and_ties_are_inside(seed, n):
    votes = crowd(n, seed)
    each = [agreement("majority", [vote]) for vote in votes]
    np.testing.assert_allclose(agreement("majority", votes), np.mean(each, axis=0), atol=1e-6)
    halves = agreement("majority", [*votes, *(Vote(f"absent {k}") for k in range(n))])
    np.testing.assert_array_equal(halves >= 0.5, np.mean(each, axis=0) == 1)


def masks_of(votes):
    return np.stack([agreement("majority", [vote]) == 1 for vote in votes])


def full_patterns(masks):
    """Votes voxel by voxel, without a band: shape (voxels, volunteers)."""
    return masks.reshape(len(masks), -1).T.astype(float)


@pytest.mark.parametrize("rule", RULES)
def test_patterns_say_what_voxels_would(rule):
    """Voxels with equal votes taken together are what the method finds voxel by voxel."""
    patterns = full_patterns(masks_of(crowd(6)))
    unique, which, counts = np.unique(patterns, axis=0, return_inverse=True, return_counts=True)
    together = RULES[rule](unique, counts.astype(float))[which]
    apart = RULES[rule](patterns, np.ones(len(patterns)))
    np.testing.assert_allclose(together, apart, atol=1e-5)


@pytest.mark.parametrize("rule", RULES)
@given(seed=st.integers(0, 99), n=st.integers(1, 6))
@settings(max_examples=20)
def test_one_more_vote_for_inside_is_never_less_inside(rule, seed, n):
    patterns, counts = np.unique(
        full_patterns(masks_of(crowd(n, seed))), axis=0, return_counts=True
    )
    found = RULES[rule](patterns, counts.astype(float))
    holds = (patterns[:, None] <= patterns[None]).all(axis=2)
    assert (found[:, None] <= found[None] + 1e-9)[holds].all()


def slow_em(masks, rounds=60):
    """By the formula of Bayes, voxel by voxel, with probabilities rather than their logarithms."""
    marked = masks.any(axis=0)
    expected, answer = masks.mean(axis=0), np.round(masks.mean(axis=0))
    for _ in range(rounds):
        right = [np.where(mask, answer, 1 - answer)[marked].mean() for mask in masks]
        right = np.clip(right, 1e-6, 1 - 1e-6)
        for_it, against = expected.copy(), 1 - expected
        for mask, share in zip(masks, right, strict=True):
            for_it *= np.where(mask, share, 1 - share)
            against *= np.where(mask, 1 - share, share)
        expected = answer = for_it / (for_it + against)
    return answer


def slow_rasa(masks, rounds=60):
    """Mask by mask, with sets of voxels."""
    sets = [set(map(tuple, np.argwhere(mask).tolist())) for mask in masks]
    weights = [1 / len(masks)] * len(masks)
    for _ in range(rounds):
        share = np.tensordot(weights, masks, 1)
        answer = set(map(tuple, np.argwhere(np.float32(share) >= 0.5).tolist()))
        alike = [len(one & answer) / len(one | answer) if one | answer else 1 for one in sets]
        weights = np.log(1 / (1 - np.array(alike) + 1e-5) + 1)
        weights /= weights.sum()
    return share


@pytest.mark.parametrize("absent", [0, 1, 4])
@pytest.mark.parametrize(("rule", "slow"), [(em, slow_em), (rasa, slow_rasa)])
def test_against_a_slow_one_that_sees_every_voxel(rule, slow, absent):
    masks = masks_of([*crowd(5, wobble=3), *(Vote(f"absent {k}") for k in range(absent))])
    small = masks[:, ::3, ::3]
    found = rule(full_patterns(small), np.ones(small[0].size)).reshape(small[0].shape)
    np.testing.assert_allclose(found, slow(small), atol=1e-4)


def test_rasa_against_crowd_kit():
    aggregation = pytest.importorskip("crowdkit.aggregation")
    masks = masks_of([*crowd(8, wobble=2.5), Vote("absent")])
    found = rasa(full_patterns(masks), np.ones(masks[0].size)).reshape(SHAPE) >= 0.5
    expected = aggregation.SegmentationRASA(n_iter=50).fit_predict(_table(masks))["slice"]
    np.testing.assert_array_equal(found, expected)


def test_em_against_crowd_kit():
    aggregation = pytest.importorskip("crowdkit.aggregation")
    masks = masks_of([*crowd(8, wobble=2.5), Vote("absent")])
    found = em(full_patterns(masks), np.ones(masks[0].size)).reshape(SHAPE) >= 0.5
    expected = aggregation.SegmentationEM(n_iter=50, tol=0).fit_predict(_table(masks))["slice"]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("absent", [0, 1])
def test_staple_against_simple_itk(absent):
    sitk = pytest.importorskip("SimpleITK")
    masks = masks_of([*crowd(7, wobble=2.5), *(Vote(f"absent {k}") for k in range(absent))])
    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in masks]
    expected = sitk.GetArrayFromImage(sitk.STAPLE(images, 1.0))
    found = staple(full_patterns(masks), np.ones(masks[0].size)).reshape(SHAPE)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def _table(masks):
    pandas = pytest.importorskip("pandas")
    rows = [("slice", f"volunteer {k}", mask) for k, mask in enumerate(masks)]
    return pandas.DataFrame(rows, columns=["task", "worker", "segmentation"])


def test_far_background_changes_nothing():
    """The band keeps the size of the region out of the answer."""
    masks = masks_of(crowd(5))
    runs = []
    for mask in masks:
        edges = [
            (y, *np.flatnonzero(np.diff(np.pad(row, 1).astype(int))))
            for y, row in enumerate(mask)
            if row.any()
        ]
        runs.append(np.array(edges, dtype=np.int32))
    small = count_patterns(runs, margin_yx=(9, 9), shape_yx=SHAPE)
    large = count_patterns(runs, margin_yx=(9, 9), shape_yx=(900, 900))
    np.testing.assert_array_equal(small.voxels, large.voxels)


@pytest.mark.parametrize("rule", [em, staple])
def test_who_is_always_right_is_not_believed_without_limit(rule):
    """Three draw the same on a thousand voxels, a fourth the opposite where they say no."""
    patterns = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 1], [1, 1, 1, 0]], float)
    found = rule(patterns, np.array([1000.0, 1000.0, 10.0, 10.0]))
    assert np.isfinite(found).all()
    assert found == pytest.approx([0, 1, 0, 1], abs=1e-3)


def test_nothing_marked_is_an_empty_patch_at_the_origin():
    votes = SliceVotes(0, (0, 0), SHAPE, (Vote("a"), Vote("b")))
    patch = METHODS["em"](votes, NM, {}, AnnotateOptions())
    assert (patch.origin_yx, patch.values.shape) == ((0, 0), (0, 0))
