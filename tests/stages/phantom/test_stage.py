"""The phantom stage: written block by block, the same whatever the engine, with its list."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from volproc import PhantomOptions
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.errors import GridError
from volproc.grid.blocks import Tiling
from volproc.grid.box import whole_box
from volproc.stages.phantom.render import render
from volproc.stages.phantom.stage import RenderBlock, nuclei_of, plan_phantom, run_phantom
from volproc.volume.store import Volume, open_volume

OPTIONS = PhantomOptions(shape=(20, 150, 170), voxel_nm=(100, 100, 100), seed=5)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A phantom of 2 x 15 x 17 um on disk: its plan, and the nuclei it reported."""
    folder = tmp_path_factory.mktemp("phantom")
    plan = plan_phantom(str(folder / "made.zarr"), OPTIONS)
    return plan, run_phantom(plan, Runner(SerialEngine(), folder / "records"))


def test_planning_writes_nothing(tmp_path):
    plan = plan_phantom(str(tmp_path / "made.zarr"), OPTIONS)
    assert not list(tmp_path.iterdir())
    assert plan.steps[0].name == "phantom"
    assert plan.steps[0].peak_bytes > 0
    assert plan.steps[0].bytes_written == 20 * 150 * 170 * 2


def test_image_and_truth_are_what_render_gives(made):
    plan, _ = made
    image, truth = render(plan.scene, whole_box(plan.scene.shape))
    for url, expected in ((plan.image.url, image), (plan.truth.url, truth)):
        volume = open_volume(url)
        np.testing.assert_array_equal(volume.read(volume.info.box), expected)
        assert volume.info.voxel_nm == (100, 100, 100)


def test_truth_is_a_label_volume_in_the_image(made):
    plan, _ = made
    assert plan.truth.url == f"{plan.image.url}/labels/nuclei"
    assert open_volume(plan.truth.url).info.kind == "labels"
    assert open_volume(plan.image.url).info.kind == "image"


def test_the_list_counts_the_truth(made):
    plan, rows = made
    volume = open_volume(plan.truth.url)
    truth = volume.read(volume.info.box)
    assert [row.voxels for row in rows] == np.bincount(truth.ravel())[1:].tolist()
    inside = truth[1:-1, 1:-1, 1:-1]
    for row in rows:
        assert row.volume_um3 == pytest.approx(row.voxels * 1e-3)
        assert row.touches_border == ((truth == row.id).sum() > (inside == row.id).sum())
    with open(plan.table) as file:
        listed = list(csv.DictReader(file))
    assert [int(line["voxels"]) for line in listed] == [row.voxels for row in rows]


def test_the_metadata_tell_the_story(made):
    plan, rows = made
    story = open_volume(plan.image.url).info.provenance["scene"]
    assert story["seed"] == 5
    assert story["nuclei"] == len(rows)
    assert "no label" in story["dividing_cells"]


@pytest.mark.parametrize("core", [(20, 150, 170), (7, 64, 64), (20, 50, 170)])
def test_the_list_does_not_depend_on_the_blocks(made, core):
    plan, rows = made
    task = RenderBlock(plan.scene, _Nowhere(plan.image), _Nowhere(plan.truth))
    blocks = Tiling(plan.scene.shape, core)
    records = [task.store(block, task.compute(block, task.load(block))) for block in blocks]
    assert nuclei_of(records, plan.scene) == rows


def test_a_voxel_size_of_zero_is_refused(tmp_path):
    options = OPTIONS.model_copy(update={"voxel_nm": (0.0, 10.0, 10.0)})
    with pytest.raises(GridError, match="three positive numbers"):
        plan_phantom(str(tmp_path / "made.zarr"), options)


def test_other_options_make_the_volume_anew_where_that_is_said(tmp_path):
    runner = Runner(SerialEngine(), tmp_path / "records", overwrite=True)
    seen = []
    for seed in (1, 2, 2):
        options = OPTIONS.model_copy(update={"seed": seed, "shape": (4, 70, 70)})
        plan = plan_phantom(str(tmp_path / "made.zarr"), options)
        run_phantom(plan, runner)
        volume = open_volume(plan.image.url)
        seen.append(volume.read(volume.info.box))
    assert (seen[0] != seen[1]).any()
    np.testing.assert_array_equal(seen[1], seen[2])


class _Nowhere(Volume):
    """A volume that takes any block and keeps nothing."""

    def write(self, box, values, level=0):
        assert values.shape == box.shape
