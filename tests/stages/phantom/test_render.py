"""Rendering: a voxel is a pure function of its place and the seed; nuclei look as they should."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from volproc.errors import GridError
from volproc.grid.box import Box, whole_box
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.phantom import render as render_module
from volproc.stages.phantom.look import HELA, varied
from volproc.stages.phantom.render import render, render_into
from volproc.stages.phantom.scene_layout import make_scene

NATIVE = parse_voxel_nm([50, 10, 10])
ISOTROPIC = parse_voxel_nm([50, 50, 50])
ODD = parse_voxel_nm([37, 61, 23.5])

SHAPES = {
    "native": ((12, 130, 110), NATIVE),
    "isotropic": ((40, 90, 100), ISOTROPIC),
    "odd": ((17, 60, 120), ODD),
    "varied": ((20, 90, 80), ISOTROPIC),
}


@cache
def scene_of(name):
    shape, voxel_nm = SHAPES[name]
    return make_scene(shape, voxel_nm, seed=3, look=varied(3) if name == "varied" else HELA)


@cache
def whole(name):
    """Image and truth of one of the scenes, all at once."""
    return render(scene_of(name), whole_box(scene_of(name).shape))


@st.composite
def parts(draw):
    name = draw(st.sampled_from(sorted(SHAPES)))
    ends = [sorted(draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True)))
            for n in SHAPES[name][0]]  # fmt: skip
    return name, Box(tuple(a for a, _ in ends), tuple(b for _, b in ends))


@settings(max_examples=60, deadline=None)
@given(part=parts())
def test_any_box_is_that_part_of_the_whole(part):
    name, box = part
    image, truth = render(scene_of(name), box)
    whole_image, whole_truth = whole(name)
    np.testing.assert_array_equal(image, whole_image[box.slices])
    np.testing.assert_array_equal(truth, whole_truth[box.slices])


def test_the_size_of_slabs_changes_nothing(monkeypatch):
    monkeypatch.setattr(render_module, "SLAB_LATTICE_POINTS", 5_000)
    scene = scene_of("isotropic")
    for made, expected in zip(
        render(scene, whole_box(scene.shape)), whole("isotropic"), strict=True
    ):
        np.testing.assert_array_equal(made, expected)


def test_truth_of_any_type_is_the_same():
    scene = scene_of("native")
    image, truth = np.empty(scene.shape, np.uint8), np.empty(scene.shape, np.uint8)
    render_into(scene, whole_box(scene.shape), image, truth)
    np.testing.assert_array_equal(truth, whole("native")[1])


def test_another_seed_gives_other_voxels():
    other = make_scene(scene_of("native").shape, NATIVE, seed=4)
    image, _ = render(other, whole_box(other.shape))
    assert (image != whole("native")[0]).mean() > 0.9


@pytest.mark.parametrize("shape", [(1, 64, 64), (1, 1, 1), (9, 3, 200)])
def test_tiny_volumes(shape):
    scene = make_scene(shape, NATIVE, seed=0)
    image, truth = render(scene, whole_box(shape))
    assert image.shape == truth.shape == shape
    assert set(np.unique(truth)) - {0} == {nucleus.id for nucleus in scene.nuclei}


def test_a_box_outside_is_refused():
    with pytest.raises(GridError, match="must be a part of the volume"):
        render(scene_of("native"), Box((0, 0, 0), (13, 1, 1)))


@pytest.fixture(scope="module")
def nucleus():
    """A whole nucleus with its surroundings at 100 nm: image, truth, id."""
    voxel_nm = parse_voxel_nm([100, 100, 100])
    scene = make_scene((110, 130, 130), voxel_nm, seed=6)
    image, truth = render(scene, whole_box(scene.shape))
    return image, truth, int(np.bincount(truth[truth > 0]).argmax())


def test_a_nucleus_is_one_piece_with_several_fragments_in_many_slices(nucleus):
    _, truth, label = nucleus
    mask = truth == label
    sizes = np.bincount(ndimage.label(mask, np.ones((3, 3, 3)))[0].ravel())[1:]
    assert sizes.max() > 0.999 * sizes.sum()
    fragments = [ndimage.label(part)[1] for part in mask if part.any()]
    assert sum(n > 1 for n in fragments) > 0.2 * len(fragments)


def test_nuclei_have_deep_invaginations(nucleus):
    _, truth, label = nucleus
    mask = truth == label
    # a ball of 400 nm closes folds; what lies a micrometre below the closed surface is deep
    near = ndimage.distance_transform_edt(~np.pad(mask, 8)) <= 4
    closed = ndimage.distance_transform_edt(near)[8:-8, 8:-8, 8:-8]
    folds = (closed > 4 + 10) & ~mask
    assert folds.sum() > 100


def test_the_ground_has_grey_levels_like_the_real_volume(nucleus):
    image, truth, _ = nucleus
    deep = ndimage.binary_erosion(truth > 0, iterations=3)
    outside = truth == 0
    cytoplasm = outside & (image < 178)
    resin = outside & (image >= 178)
    # ROI_1656-6756-329: nucleus 155, cytoplasm 148, resin 200
    assert 148 < image[deep].mean() < 162
    assert 140 < image[cytoplasm].mean() < 155
    assert 190 < image[resin].mean() < 212
    assert image[deep].mean() - image[cytoplasm].mean() < 15


def test_the_envelope_is_dark_and_77_nm_thick():
    voxel_nm = parse_voxel_nm([10, 10, 10])
    scene = make_scene((80, 900, 900), voxel_nm, seed=2)
    truth = render(scene, Box((40, 0, 0), (41, 900, 900)))[1][0]
    edge = np.argwhere(
        ndimage.binary_erosion(truth > 0) & ~ndimage.binary_erosion(truth > 0, iterations=2)
    )
    y, x = (int(c) for c in edge[len(edge) // 2])
    y, x = min(max(y - 100, 0), 700), min(max(x - 100, 0), 700)
    image, truth = render(scene, Box((0, y, x), (80, y + 200, x + 200)))
    inside = ndimage.distance_transform_edt(truth > 0) - 0.5
    outside = ndimage.distance_transform_edt(truth == 0) - 0.5
    nm = 10 * np.where(truth > 0, inside, -outside)
    middle = (slice(30, 50), slice(30, -30), slice(30, -30))  # distances are complete there
    image, nm = image[middle].astype(float), nm[middle]
    envelope = image[(nm > 10) & (nm < 70)].mean()
    nucleoplasm = image[(nm > 150) & (nm < 280)].mean()
    cytoplasm = image[(nm < -20) & (nm > -120)].mean()
    assert envelope < min(nucleoplasm, cytoplasm) - 10
    steps = np.arange(0, 200, 10)
    profile = np.array([image[(nm >= a) & (nm < a + 10)].mean() for a in steps])
    thickness = 10 * (profile < nucleoplasm - 10).sum()
    assert 60 <= thickness <= 100


def test_a_lost_slice_shows_the_one_before_but_has_its_own_truth():
    scene = scene_of("isotropic")
    image, _ = whole("isotropic")
    assert scene.lost_slice is not None
    same = [z for z in range(1, scene.shape[0]) if (image[z] == image[z - 1]).all()]
    assert same == [scene.lost_slice]
    complete = replace(scene, lost_slice=None)
    image, truth = render(complete, whole_box(scene.shape))
    assert not (image[scene.lost_slice] == image[scene.lost_slice - 1]).all()
    np.testing.assert_array_equal(truth, whole("isotropic")[1])


def test_one_slice_carries_a_bright_stripe():
    scene = scene_of("isotropic")
    plain = replace(scene, stripe=replace(scene.stripe, strength=0.0))
    image, _ = render(plain, whole_box(scene.shape))
    brighter = whole("isotropic")[0].astype(int) - image
    slices = np.flatnonzero(brighter.any(axis=(1, 2)))
    assert slices.tolist() == [scene.stripe.slice, scene.stripe.slice + 1]
    rows = brighter[scene.stripe.slice].mean(axis=1)
    assert rows.max() > 20
    assert (rows == 0).any()


def test_brightness_steps_from_slice_to_slice():
    scene = make_scene((30, 200, 200), ISOTROPIC, seed=1, cell_density=0.0)
    means = render(scene, whole_box(scene.shape))[0].mean(axis=(1, 2))
    assert 1 < np.abs(np.diff(means)).mean() < 12
