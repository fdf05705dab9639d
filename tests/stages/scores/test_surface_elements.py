import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from volproc.stages.scores.surface_distances import compare
from volproc.stages.scores.surface_elements import element_sizes, surface_elements

masks = arrays(np.bool_, (5, 6, 7))
voxels = st.sampled_from([(1.0, 1.0, 1.0), (50.0, 10.0, 8.0), (5.0, 8.0, 12.5)])


def ball(shape, centre_nm, radius_nm, nm):
    at = [(np.arange(n) + 0.5) * v - c for n, v, c in zip(shape, nm, centre_nm, strict=True)]
    z, y, x = np.ix_(*at)
    return z**2 + y**2 + x**2 <= radius_nm**2


@pytest.mark.filterwarnings("ignore:Please import")
@given(a=masks.filter(np.any), b=masks.filter(np.any), nm=voxels)
def test_areas_and_distances_against_surface_distance(a, b, nm):
    tool = pytest.importorskip("surface_distance")
    found = tool.compute_surface_distances(a, b, nm)
    comparison = compare(a, b, nm=nm)
    scores, surfaces = comparison.scores([10]), comparison.surfaces
    assert surfaces.to_labels.length == pytest.approx(found["surfel_areas_gt"].sum())
    assert surfaces.to_truth.length == pytest.approx(found["surfel_areas_pred"].sum())
    assert scores["hd_nm"] == pytest.approx(tool.compute_robust_hausdorff(found, 100))
    nsd = tool.compute_surface_dice_at_tolerance(found, 10 + 1e-9)
    assert scores["nsd_10"] == pytest.approx(nsd)
    directed = (scores["truth_to_labels_nm"], scores["labels_to_truth_nm"])
    assert directed == pytest.approx(tool.compute_average_surface_distance(found))
    shares = tool.compute_surface_overlap_at_tolerance(found, 10 + 1e-9)
    f1 = 2 * shares[0] * shares[1] / sum(shares) if sum(shares) else 0
    assert scores["bf_10"] == pytest.approx(f1)


@pytest.mark.filterwarnings("ignore:Please import")
def test_percentile_of_two_balls_against_surface_distance():
    tool = pytest.importorskip("surface_distance")
    nm, shape = (50, 10, 10), (24, 90, 90)
    a = ball(shape, (600, 450, 420), 330, nm)
    b = ball(shape, (600, 430, 460), 300, nm)
    found = tool.compute_surface_distances(a, b, nm)
    expected = tool.compute_robust_hausdorff(found, 95)
    assert compare(a, b, nm=nm).scores()["hd95_nm"] == pytest.approx(expected)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("by", [1, 3])
def test_shifted_planes_are_as_far_apart_as_they_were_shifted(axis, by):
    """A half space in anisotropic voxels; what leaves the volume has no surface there."""
    nm = (50.0, 10.0, 8.0)
    a, b = np.zeros((2, 16, 16, 16), bool)
    np.moveaxis(a, axis, 0)[:6] = True
    np.moveaxis(b, axis, 0)[: 6 + by] = True
    distance = by * nm[axis]
    scores = compare(a, b, nm=nm, at_border=False).scores([distance - 0.1, distance])
    names = ("masd_nm", "assd_nm", "hd_nm", "hd95_nm", "truth_to_labels_nm", "labels_to_truth_nm")
    assert {scores[name] for name in names} == {distance}
    assert scores[f"nsd_{distance:g}"] == scores[f"bf_{distance:g}"] == 1
    assert scores[f"nsd_{distance - 0.1:g}"] == scores[f"bf_{distance - 0.1:g}"] == 0


def test_balls_inside_one_another_are_their_radii_apart():
    """Two concentric balls in voxels of 20 x 5 x 5 nm: all are r2 - r1 apart, but for the steps.

    A step along z is 20 nm high: its edge lies up to that nearer.
    """
    nm = (20.0, 5.0, 5.0)
    a, b = (ball((40, 140, 140), (400, 350, 350), radius, nm) for radius in (200, 280))
    scores = compare(a, b, nm=nm).scores([50, 100])
    assert scores["masd_nm"] == pytest.approx(80, abs=8)
    assert scores["hd_nm"] == pytest.approx(80, abs=10)
    assert (scores["nsd_50"], scores["nsd_100"]) == (0, 1)


def test_balls_apart():
    """The farthest points of equal balls at a distance d > 2 r are d apart, the nearest d - 2 r."""
    nm, radius = (20.0, 5.0, 5.0), 100
    a, b = (ball((20, 50, 150), (200, 125, x), radius, nm) for x in (150, 550))
    surfaces = compare(a, b, nm=nm).surfaces
    assert surfaces.to_labels.nm.min() == pytest.approx(400 - 2 * radius, abs=10)
    # from the far pole of one along the line between the centres to the near pole of the other
    assert surfaces.to_labels.nm.max() == pytest.approx(400, abs=10)


@given(mask=masks, nm=voxels)
def test_a_ball_of_background_has_the_same_surface(mask, nm):
    """Inside and outside exchanged, in a frame of one voxel."""
    sizes = element_sizes(nm)
    mask = np.pad(mask, 1)
    one, other = (surface_elements(side, at_border=False) for side in (mask, ~mask))
    assert one.corners.tolist() == other.corners.tolist()
    assert sizes[one.codes].sum() == pytest.approx(sizes[other.codes].sum())


@given(mask=masks, ignored=masks)
def test_elements_beside_ignored_voxels_do_not_count(mask, ignored):
    every = surface_elements(mask)
    kept = surface_elements(mask, ignored=ignored)
    near = np.pad(ignored, 1)
    near = [near[tuple(slice(c, c + 2) for c in corner)].any() for corner in every.corners]
    assert kept.corners.tolist() == every.corners[~np.array(near, dtype=bool)].tolist()
