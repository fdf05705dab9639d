import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.metrics import hausdorff_distance

from volproc.stages.scores.surface_distances import (
    FORMULAS,
    Distances,
    compare,
    pool,
)
from volproc.stages.scores.surface_elements import element_sizes, surface_elements

masks = arrays(np.bool_, (7, 9))
voxels = st.tuples(st.sampled_from([1.0, 5.0, 12.5]), st.sampled_from([1.0, 5.0, 8.0]))


def disc(shape, centre, radius):
    y, x = np.indices(shape)
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def slow_elements(mask, nm):
    """Corner by corner: where it lies and how long the line is that parts its four voxels."""
    padded = np.pad(mask, 1)
    found = {}
    for i in range(mask.shape[0] + 1):
        for j in range(mask.shape[1] + 1):
            four = padded[i : i + 2, j : j + 2]
            if 0 < four.sum() < 4:
                diagonal = np.hypot(*nm)
                if four.sum() != 2:
                    found[i * nm[0], j * nm[1]] = diagonal / 2
                elif four[0].all() or four[1].all():
                    found[i * nm[0], j * nm[1]] = nm[1]
                else:
                    found[i * nm[0], j * nm[1]] = (
                        nm[0] if four[:, 0].any() != four[:, 1].any() else diagonal
                    )
    return found


def slow_distances(one, other):
    """From every element of `one` to the nearest of `other`, all against all."""
    return [min(np.hypot(y - v, x - u) for v, u in other) for y, x in one]


@given(mask=masks, nm=voxels)
def test_elements_are_the_corners_between_voxels_of_both_kinds(mask, nm):
    found = surface_elements(mask)
    points, lengths = found.corners * nm, element_sizes(nm)[found.codes]
    assert dict(zip(map(tuple, points.tolist()), lengths.tolist(), strict=True)) == pytest.approx(
        slow_elements(mask, nm)
    )


@given(a=masks.filter(np.any), b=masks.filter(np.any), nm=voxels)
def test_scores_follow_their_formulas(a, b, nm):
    one, other = slow_elements(a, nm), slow_elements(b, nm)
    there, back = slow_distances(one, other), slow_distances(other, one)
    la, lb = list(one.values()), list(other.values())
    h_ab, h_ba = np.average(there, weights=la), np.average(back, weights=lb)
    near_a = sum(w for d, w in zip(there, la, strict=True) if d <= 50 + 1e-6)
    near_b = sum(w for d, w in zip(back, lb, strict=True) if d <= 50 + 1e-6)
    recall, precision = near_a / sum(la), near_b / sum(lb)
    expected = {
        "dice": 2 * (a & b).sum() / (a.sum() + b.sum()),
        "iou": (a & b).sum() / (a | b).sum(),
        "truth_to_labels_nm": h_ab,
        "labels_to_truth_nm": h_ba,
        "masd_nm": (h_ab + h_ba) / 2,
        "assd_nm": np.average(there + back, weights=la + lb),
        "hd_nm": max(there + back),
        "nsd_50": (near_a + near_b) / (sum(la) + sum(lb)),
        "bf_50": 2 * recall * precision / (recall + precision) if recall + precision else 0,
    }
    scores = compare(a, b, nm=nm).scores([50])
    assert {name: scores[name] for name in expected} == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:Please import")  # names of scipy that it still uses
@given(a=masks.filter(np.any), b=masks.filter(np.any), nm=voxels)
def test_against_surface_distance(a, b, nm):
    """google-deepmind's tool, from which the definition of the surface comes."""
    tool = pytest.importorskip("surface_distance")
    found = tool.compute_surface_distances(a, b, nm)
    scores = compare(a, b, nm=nm).scores([10])
    expected = {
        "hd_nm": tool.compute_robust_hausdorff(found, 100),
        "nsd_10": tool.compute_surface_dice_at_tolerance(found, 10 + 1e-9),
        "dice": tool.compute_dice_coefficient(a, b),
    }
    assert {name: scores[name] for name in expected} == pytest.approx(expected)
    directed = (scores["truth_to_labels_nm"], scores["labels_to_truth_nm"])
    assert directed == pytest.approx(tool.compute_average_surface_distance(found))


@pytest.mark.filterwarnings("ignore:Please import")
def test_percentiles_against_surface_distance_on_a_large_outline():
    tool = pytest.importorskip("surface_distance")
    a, b = disc((200, 240), (100, 120), 70), disc((200, 240), (95, 131), 66)
    found = tool.compute_surface_distances(a, b, (10, 8))
    expected = tool.compute_robust_hausdorff(found, 95)
    assert compare(a, b, nm=(10, 8)).scores()["hd95_nm"] == pytest.approx(expected)


@given(a=masks.filter(np.any), b=masks.filter(np.any))
def test_largest_distance_against_scikit_image(a, b):
    corners = [np.zeros((8, 10), dtype=bool) for _ in "ab"]
    for image, mask in zip(corners, (a, b), strict=True):
        image[tuple(surface_elements(mask).corners.T)] = True
    assert compare(a, b, nm=(1, 1)).scores()["hd_nm"] == pytest.approx(hausdorff_distance(*corners))


@given(a=masks, b=masks, nm=voxels)
def test_sides_can_be_exchanged(a, b, nm):
    there, back = compare(a, b, nm=nm).scores(), compare(b, a, nm=nm).scores()
    back["truth_to_labels_nm"], back["labels_to_truth_nm"] = (
        back["labels_to_truth_nm"],
        back["truth_to_labels_nm"],
    )
    assert there == pytest.approx(back)


@given(a=masks, b=masks, nm=voxels, at_border=st.booleans())
def test_flips_and_transposition_change_nothing(a, b, nm, at_border):
    scores = compare(a, b, nm=nm, at_border=at_border).scores()
    flipped = compare(a[::-1, ::-1], b[::-1, ::-1], nm=nm, at_border=at_border).scores()
    turned = compare(a.T, b.T, nm=nm[::-1], at_border=at_border).scores()
    assert flipped == pytest.approx(scores)
    assert turned == pytest.approx(scores)


@given(a=masks, b=masks, nm=voxels)
def test_twice_the_voxel_is_twice_the_distance(a, b, nm):
    scores = compare(a, b, nm=nm).scores([10])
    doubled = compare(a, b, nm=(2 * nm[0], 2 * nm[1])).scores([20])
    for name, value in scores.items():
        expected = 2 * value if name.endswith("_nm") else value
        assert doubled[name.replace("_10", "_20")] == pytest.approx(expected)


@given(mask=masks, nm=voxels)
def test_a_mask_equals_itself(mask, nm):
    scores = compare(mask, mask, nm=nm).scores()
    assert scores == {name: 0.0 if name.endswith("_nm") else 1.0 for name in scores}


@given(mask=masks.filter(np.any), missing=st.sampled_from([np.inf, 700.0]))
def test_something_against_nothing(mask, missing):
    for pair in ((mask, np.zeros_like(mask)), (np.zeros_like(mask), mask)):
        scores = compare(*pair, nm=(5, 5), missing_nm=missing).scores()
        assert scores == pytest.approx(
            {name: missing if name.endswith("_nm") else 0.0 for name in scores}
        )


def test_shifted_by_a_whole_number_of_voxels():
    """A square one voxel of 12 nm lower: what each score is can be seen by eye."""
    a, b = np.zeros((2, 20, 20), dtype=bool)
    a[4:14, 4:14] = True
    b[5:15, 4:14] = True
    comparison = compare(a, b, nm=(12.0, 4.0))
    scores = comparison.scores([11.9, 12])
    assert scores["hd_nm"] == 12
    assert scores["dice"] == 0.9
    assert scores["nsd_12"] == 1
    assert scores["nsd_11.9"] < 1
    assert comparison.surfaces.to_truth.length == pytest.approx(
        2 * 9 * (12 + 4) + 4 * np.hypot(12, 4) / 2
    )
    # below lies a row of nine and two corners 12 nm off; that above is nearer to the sides
    below = 12 * (9 * 4 + 2 * np.hypot(12, 4) / 2)
    above = 4 * (4 + 8 + 5 * 12 + 8 + 4)
    assert scores["masd_nm"] == pytest.approx((below + above) / comparison.surfaces.to_truth.length)


def test_an_object_that_leaves_the_image_has_no_surface_there_if_told_so():
    a, b = np.zeros((2, 30, 30), dtype=bool)
    a[:, :10] = True
    b[:, :12] = True
    assert compare(a, b, nm=(1, 1), at_border=False).scores()["masd_nm"] == 2
    assert compare(a, b, nm=(1, 1)).scores()["masd_nm"] < 2
    full = np.ones_like(a)
    assert compare(full, full, nm=(1, 1), at_border=False).scores()["masd_nm"] == 0


@given(pairs=st.lists(st.tuples(masks, masks), max_size=4), cut=st.integers(0, 4))
def test_slices_pool_in_any_grouping(pairs, cut):
    each = [compare(a, b, nm=(3, 2), missing_nm=99.0) for a, b in pairs]
    whole = pool(each)
    grouped = pool([pool(each[:cut]), pool(each[cut:])])
    assert grouped.scores() == pytest.approx(whole.scores())
    assert whole.truth == sum(a.sum() for a, _ in pairs)
    assert whole.scores()["assd_nm"] == pytest.approx(
        np.average(
            np.concatenate(
                [
                    [0.0],
                    *(
                        d.nm
                        for one in each
                        for d in (one.surfaces.to_truth, one.surfaces.to_labels)
                    ),
                ]
            ),
            weights=np.concatenate(
                [
                    [1e-12],
                    *(
                        d.lengths
                        for one in each
                        for d in (one.surfaces.to_truth, one.surfaces.to_labels)
                    ),
                ]
            ),
        ),
        abs=1e-6,
    )


def test_equal_distances_are_kept_once():
    distances = Distances.of(np.array([3.0, 1.0, 3.0]), np.array([1.0, 2.0, 4.0]))
    assert distances.nm.tolist() == [1, 3]
    assert distances.lengths.tolist() == [2, 5]
    assert distances.percentile(20) == 1
    assert distances.percentile(95) == 3


def test_a_region_outside_the_bounding_box_is_not_looked_at():
    small = disc((40, 40), (20, 20), 9)
    large = np.zeros((400, 500), dtype=bool)
    large[100:140, 300:340] = small
    moved = ndimage.shift(small.astype(np.uint8), (2, 1), order=0).astype(bool)
    large_moved = np.zeros_like(large)
    large_moved[100:140, 300:340] = moved
    assert compare(large, large_moved, nm=(9, 9)).scores() == pytest.approx(
        compare(small, moved, nm=(9, 9)).scores()
    )


def test_every_score_has_its_formula():
    mask = disc((10, 10), (5, 5), 3)
    names = {name.replace("_50", "_T") for name in compare(mask, mask, nm=(1, 1)).scores([50])}
    assert names == set(FORMULAS)
