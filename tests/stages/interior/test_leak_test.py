import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volproc import InteriorOptions
from volproc.grid.blocks import Tiling
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.interior.geodesic_growth import INSIDE, OUTSIDE
from volproc.stages.interior.leak_test import block_faces, joined_faces, verdict_of

VOXEL_NM = parse_voxel_nm((50, 40, 40))


def faces_in_blocks(labels, core):
    tiling = Tiling(labels.shape, core, (1, 1, 1))
    parts = (block_faces(labels[block.read.slices], read=block) for block in tiling)
    return joined_faces(parts, count=int(labels.max()))


@given(st.integers(0, 2**32), st.tuples(*[st.integers(1, 9)] * 3))
@settings(max_examples=25)
def test_faces_add_up_over_blocks(seed, core):
    labels = np.random.default_rng(seed).integers(0, 4, (7, 9, 8)).astype(np.uint32)
    labels[0, 0, 0] = 3
    whole, parts = faces_in_blocks(labels, labels.shape), faces_in_blocks(labels, core)
    np.testing.assert_array_equal(whole.rows, parts.rows)
    padded = np.pad(labels, 1)
    for n, row in enumerate(whole.rows, start=1):
        assert row[0] == (labels == n).sum()
        assert row[7:].tolist() == [c.sum() for c in np.nonzero(labels == n)]
        sides = [np.diff((padded == n).astype(int), axis=axis) for axis in range(3)]
        assert (row[1:4] + row[4:7]).tolist() == [np.abs(side).sum() for side in sides]
        ends = [(np.moveaxis(labels, axis, 0)[[0, -1]] == n).sum() for axis in range(3)]
        assert row[1:4].tolist() == ends


def ball(shape, centre, radius):
    z, y, x = np.ogrid[tuple(map(slice, shape))]
    return (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= radius**2


@pytest.mark.parametrize("centre", [(20, 20, 20), (0, 20, 20), (0, 0, 20), (0, 0, 0), (39, 20, 36)])
@pytest.mark.parametrize("core", [(40, 40, 40), (16, 17, 40)])
def test_balls_cut_by_the_border_are_interiors_and_what_is_around_them_is_not(centre, core):
    labels = np.ones((40, 40, 40), np.uint32)
    labels[ball(labels.shape, centre, 13)] = 0
    labels[ball(labels.shape, centre, 12)] = 2
    faces = faces_in_blocks(labels, core)
    verdict = verdict_of(faces, options=InteriorOptions(), voxel_nm=VOXEL_NM, axis=None)
    assert verdict.tolist() == [0, OUTSIDE, INSIDE]


def test_in_slices_every_slice_has_its_outside():
    labels = np.zeros((3, 20, 20), np.uint32)
    for z in range(3):
        labels[z] = 2 * z + 1
        labels[z, 4:16, 0:9] = 0
        labels[z, 5:15, 0:8] = 2 * z + 2
    faces = faces_in_blocks(labels, (3, 20, 20))
    verdict = verdict_of(faces, options=InteriorOptions(), voxel_nm=VOXEL_NM, axis=0)
    assert verdict.tolist() == [0] + [OUTSIDE, INSIDE] * 3


def test_what_touches_no_border_is_not_the_outside():
    """A volume that is all envelope but for one interior has no outside to take away."""
    labels = np.zeros((20, 20, 20), np.uint32)
    labels[5:15, 5:15, 5:15] = 1
    faces = faces_in_blocks(labels, labels.shape)
    verdict = verdict_of(faces, options=InteriorOptions(), voxel_nm=VOXEL_NM, axis=None)
    assert verdict.tolist() == [0, INSIDE]
    # the same in slices: in one of them nothing lies at the border
    slices = np.zeros((3, 20, 20), np.uint32)
    slices[0], slices[1, 4:16, 4:16], slices[2, 0:9, 0:9] = 1, 2, 3
    faces = faces_in_blocks(slices, slices.shape)
    verdict = verdict_of(faces, options=InteriorOptions(), voxel_nm=VOXEL_NM, axis=0)
    assert verdict.tolist() == [0, OUTSIDE, INSIDE, OUTSIDE]


@pytest.mark.parametrize(("share", "expected"), [(0.32, OUTSIDE), (0.34, INSIDE)])
def test_a_share_of_the_surface_may_lie_on_the_border(share, expected):
    """Two of six sides of a cube; the region before it has more."""
    labels = np.zeros((20, 20, 20), np.uint32)
    labels[10:], labels[0:6, 0:6, 5:11] = 1, 2
    faces = faces_in_blocks(labels, labels.shape)
    options = InteriorOptions(open_share=share)
    verdict = verdict_of(faces, options=options, voxel_nm=parse_voxel_nm((9, 9, 9)), axis=None)
    assert verdict.tolist() == [0, OUTSIDE, expected]


def test_of_equally_open_ones_the_first_is_the_outside():
    labels = np.zeros((9, 9, 20), np.uint32)
    labels[..., :9], labels[..., 11:] = 1, 2
    labels = np.pad(labels, ((1, 1), (1, 1), (0, 0)))
    faces = faces_in_blocks(labels, labels.shape)
    verdict = verdict_of(faces, options=InteriorOptions(), voxel_nm=VOXEL_NM, axis=None)
    assert verdict.tolist() == [0, OUTSIDE, INSIDE]


@pytest.mark.parametrize(("largest", "expected"), [(0.32, OUTSIDE), (0.33, INSIDE)])
def test_what_is_too_large_for_a_nucleus_is_no_interior(largest, expected):
    """16 x 16 x 16 voxels of 50 x 40 x 40 nm are 0.328 um³."""
    labels = np.zeros((20, 20, 20), np.uint32)
    labels[2:18, 2:18, 2:18] = 1
    faces = faces_in_blocks(labels, labels.shape)
    options = InteriorOptions(max_volume_um3=largest)
    verdict = verdict_of(faces, options=options, voxel_nm=VOXEL_NM, axis=None)
    assert verdict.tolist() == [0, expected]
