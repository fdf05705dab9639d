"""Scenes: the same objects for one extent and seed, numbered without gaps, cut by the border."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from volproc.grid.box import whole_box
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.phantom.render import render
from volproc.stages.phantom.scene_layout import make_scene

ISOTROPIC = parse_voxel_nm([100, 100, 100])


@pytest.fixture(scope="module")
def wide():
    """12 x 24 x 24 um: a whole nucleus, several that are cut, one dividing cell."""
    return make_scene((120, 240, 240), ISOTROPIC, seed=4)


@pytest.fixture(scope="module")
def wide_voxels(wide):
    return render(wide, whole_box(wide.shape))


@pytest.fixture(scope="module")
def wide_truth(wide_voxels):
    return wide_voxels[1]


def test_a_scene_is_small_and_travels(wide):
    assert len(pickle.dumps(wide)) < 100_000
    assert pickle.loads(pickle.dumps(wide)) == wide


def test_ids_are_dense_and_every_nucleus_shows(wide, wide_truth):
    found = np.unique(wide_truth)
    assert found.tolist() == list(range(len(wide.nuclei) + 1))
    assert [nucleus.id for nucleus in wide.nuclei] == found[1:].tolist()
    assert wide_truth.dtype == np.uint32


def test_some_nuclei_are_whole_and_some_are_cut(wide, wide_truth):
    on_faces: set[int] = set()
    for axis in range(3):
        along = np.moveaxis(wide_truth, axis, 0)
        on_faces |= set(np.unique(along[[0, -1]]).tolist())
    assert on_faces - {0}
    assert set(range(1, len(wide.nuclei) + 1)) - on_faces


def test_whole_nuclei_are_8_to_12_um_across(wide, wide_truth):
    for label in range(1, len(wide.nuclei) + 1):
        places = np.argwhere(wide_truth == label)
        low, high = places.min(axis=0), places.max(axis=0)
        if (low > 0).all() and (high < np.array(wide.shape) - 1).all():
            across_um = (high - low + 1) * 0.1
            assert 7 < across_um[1] < 14
            assert 7 < across_um[2] < 14
            assert 5 < across_um[0] < 12  # flattened


def test_one_cell_divides_and_has_no_label(wide, wide_truth):
    dividing = [cell for cell in wide.cells if cell.chromosomes]
    assert len(dividing) == 1
    assert dividing[0].nucleus is None
    seen = 0
    for rod in dividing[0].chromosomes:
        z, y, x = (int(c // v) for c, v in zip(rod.centre, wide.voxel_nm, strict=True))
        if all(0 <= i < n for i, n in zip((z, y, x), wide.shape, strict=True)):
            seen += 1
            assert wide_truth[z, y, x] == 0
    assert seen > 10


def test_chromosomes_are_darker_than_the_cytoplasm_around(wide, wide_voxels):
    image, _ = wide_voxels
    inside = np.zeros(wide.shape, bool)
    for rod in next(cell.chromosomes for cell in wide.cells if cell.chromosomes):
        place = tuple(int(c // 100) for c in rod.centre)
        if all(0 <= i < n for i, n in zip(place, wide.shape, strict=True)):
            inside[place] = True
    assert image[inside].mean() < 142


def test_the_same_extent_shows_the_same_nuclei_at_any_voxel_size():
    fine = make_scene((60, 400, 400), parse_voxel_nm([50, 40, 40]), seed=7)
    coarse = make_scene((30, 160, 160), ISOTROPIC, seed=7)
    assert [cell.centre for cell in fine.cells] == [cell.centre for cell in coarse.cells]
    of_fine = render(fine, whole_box(fine.shape))[1]
    of_coarse = render(coarse, whole_box(coarse.shape))[1]
    centres = [np.floor((np.arange(n) + 0.5) * 100 / v).astype(int) for n, v in zip(
        coarse.shape, fine.voxel_nm, strict=True)]  # fmt: skip
    assert (of_fine[np.ix_(*centres)] == of_coarse).mean() > 0.98


def test_another_seed_is_another_scene():
    one, two = (make_scene((20, 200, 200), ISOTROPIC, seed=seed) for seed in (1, 2))
    assert one.cells != two.cells


def test_without_cells_there_is_resin_and_no_label():
    scene = make_scene((10, 60, 60), ISOTROPIC, seed=1, cell_density=0.0)
    image, truth = render(scene, whole_box(scene.shape))
    assert scene.cells == ()
    assert truth.max() == 0
    assert image.mean() > 180
