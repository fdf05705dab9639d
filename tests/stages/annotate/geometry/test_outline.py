from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.measure import points_in_poly

from volproc.drawing import Patch
from volproc.stages.annotate.geometry.outline import envelope, outline

SHAPE = (9, 11)
# tenths, so that ties at one half are common
maps = arrays(np.float32, SHAPE, elements=st.integers(0, 10).map(lambda n: n / 10))
coarse_maps = maps.map(lambda values: ndimage.uniform_filter(values, 3))
voxels = st.tuples(st.sampled_from([5.0, 10.0, 25.0]), st.sampled_from([5.0, 10.0]))
widths = st.sampled_from([10.0, 35.0, 70.0])


def whole(values):
    return Patch((0, 0), np.asarray(values, dtype=np.float32))


def fading_disc(shape, centre, radius):
    """Agreement that changes from 1 to 0 over some voxels, as that of a crowd does."""
    y, x = np.indices(shape) + 0.5
    return np.clip((radius - np.hypot(y - centre[0], x - centre[1])) / 6 + 0.5, 0, 1)


def lengths(line):
    return np.hypot(*np.diff(line, axis=0).T)


def slow_envelope(patch, shape, nm, width):
    """Every voxel against every part of the outline that is not on the border."""
    drawn = np.zeros(shape, dtype=bool)
    inside = patch.onto(shape) >= 0.5
    centres = np.moveaxis(np.indices(shape), 0, -1) + 0.5
    half = max(width, *nm) / 2
    for line in outline(patch, shape):
        for a, b in pairwise(line):
            if any(a[k] == b[k] and a[k] in (0, shape[k]) for k in (0, 1)):
                continue
            p, d = (centres - a) * nm, (b - a) * nm
            t = np.clip(p @ d / (d @ d), 0, 1)
            distance = np.linalg.norm(p - t[..., None] * d, axis=-1)
            tie = abs(distance - half) < 1e-4 * max(nm)
            drawn |= np.where(tie, inside, distance < half)
    return drawn


@given(values=maps)
def test_lines_are_closed_and_within_the_image(values):
    for line in outline(whole(values), SHAPE):
        assert (line[0] == line[-1]).all()
        assert (line >= 0).all()
        assert (line <= SHAPE).all()
        assert (lengths(line) > 0).all()


@given(values=maps)
def test_centres_inside_the_lines_are_those_where_half_agree_or_more(values):
    lines = outline(whole(values), SHAPE)
    centres = np.argwhere(np.ones(SHAPE, dtype=bool)) + 0.5
    crossings = sum(points_in_poly(centres, line).astype(int) for line in lines)
    inside = np.broadcast_to(np.asarray(crossings) % 2 == 1, len(centres)).reshape(SHAPE)
    np.testing.assert_array_equal(inside, values >= np.float32(0.5))


@given(values=maps, fill=st.integers(0, 3))
def test_a_patch_says_the_same_as_the_whole_region(values, fill):
    region = np.zeros((20, 20), dtype=np.float32)
    region[fill : fill + 9, 4 : 4 + 11] = values
    patch = Patch((fill, 4), values)
    for a, b in zip(
        outline(patch, region.shape), outline(whole(region), region.shape), strict=True
    ):
        np.testing.assert_allclose(a, b)


def test_a_disc_is_measured_finer_than_voxels():
    agreement = fading_disc((60, 60), (30.2, 29.6), 20.3)
    (line,) = outline(whole(agreement), (60, 60))
    assert np.hypot(*(line - (30.2, 29.6)).T) == pytest.approx(20.3, abs=0.05)


def test_nothing_marked_has_no_outline():
    empty = Patch((0, 0), np.zeros((0, 0), dtype=np.float32))
    assert outline(empty, SHAPE) == []
    for nothing in (empty, whole(np.full(SHAPE, 0.4))):
        drawn = envelope(nothing, SHAPE, nm=(10, 10), width_nm=70)
        assert (drawn.origin_yx, drawn.values.shape) == ((0, 0), (0, 0))


def test_an_object_that_fills_the_image_ends_at_its_border_and_has_no_envelope():
    (line,) = outline(whole(np.ones(SHAPE)), SHAPE)
    assert line.min(axis=0).tolist() == [0, 0]
    assert line.max(axis=0).tolist() == list(SHAPE)
    assert lengths(line).sum() == 2 * sum(SHAPE)
    assert not envelope(whole(np.ones(SHAPE)), SHAPE, nm=(10, 10), width_nm=70).values.any()


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("share", [1, 0.6])
def test_no_envelope_along_the_border_where_the_object_leaves_the_image(share, turn):
    """Not even where the crowd is so unsure that the line would lie within the image."""
    values = np.zeros((40, 60), dtype=np.float32)
    values[:25, 10:50] = share
    turned = np.rot90(values, turn)
    drawn = envelope(whole(turned), turned.shape, nm=(10, 10), width_nm=60).onto(turned.shape)
    drawn = np.rot90(drawn, -turn)
    assert not drawn[:20, 16:44].any()
    assert drawn[0, 8:12].all()
    assert drawn[25, 13:47].all()


@settings(max_examples=40)
@given(values=st.one_of(maps, coarse_maps), nm=voxels, width=widths)
def test_envelope_against_every_voxel_and_every_segment(values, nm, width):
    patch = whole(values)
    drawn = envelope(patch, SHAPE, nm=nm, width_nm=width).onto(SHAPE)
    np.testing.assert_array_equal(drawn, slow_envelope(patch, SHAPE, nm, width))


@given(values=st.one_of(maps, coarse_maps), nm=voxels, width=widths)
def test_flips_and_transposition_commute(values, nm, width):
    def drawn(values, nm):
        return envelope(whole(values), values.shape, nm=nm, width_nm=width).onto(values.shape)

    there = drawn(values, nm)
    np.testing.assert_array_equal(drawn(values[::-1, ::-1], nm)[::-1, ::-1], there)
    np.testing.assert_array_equal(drawn(values.T, nm[::-1]).T, there)


@pytest.mark.parametrize(("width", "expected"), [(70, 7), (60, 6), (10, 1), (2, 1)])
def test_a_straight_line_is_as_wide_as_asked(width, expected):
    values = np.zeros((40, 50), dtype=np.float32)
    values[:, :25] = 1
    drawn = envelope(whole(values), (40, 50), nm=(10, 10), width_nm=width).onto((40, 50))
    assert (drawn.sum(axis=1) == expected).all()


@given(radius=st.floats(12, 25), width=st.sampled_from([40.0, 70.0]))
def test_a_ring_has_the_area_of_its_width(radius, width):
    agreement = fading_disc((70, 120), (35.3, 60.6), radius)
    drawn = envelope(whole(agreement), (70, 120), nm=(10, 10), width_nm=width)
    assert drawn.values.sum() == pytest.approx(2 * np.pi * radius * width / 10, rel=0.05)


def test_wide_as_asked_in_nm_along_both_axes():
    inside = np.zeros((60, 90), dtype=np.float32)
    inside[20:40, 30:60] = 1
    drawn = envelope(whole(inside), (60, 90), nm=(20, 10), width_nm=80).onto((60, 90))
    assert drawn[:, 45].sum() == 2 * 4
    assert drawn[30].sum() == 2 * 8
