from pathlib import Path

import numpy as np
import pytest

from volproc.config import AnnotateOptions, CrowdOptions
from volproc.errors import AnnotateError
from volproc.stages.annotate.stage import plan_annotate, run_annotate
from volproc.stages.crowd.stage import plan_crowd, run_crowd
from volproc.volume.files import beside


@pytest.fixture(scope="module")
def truth():
    """Two objects on 12 slices of 120 x 140 voxels of 40 nm; the second begins later."""
    y, x = np.mgrid[:120, :140]
    values = np.zeros((12, 120, 140), np.uint8)
    for z, plane in enumerate(values):
        plane[(y - 50) ** 2 + (x - 50) ** 2 < (25 + z) ** 2] = 1
        if z > 3:
            plane[(y - 80) ** 2 / 400 + (x - 115) ** 2 / 200 < 1] = 1
    return values


@pytest.fixture
def scene(tmp_path, save_volume, truth, runner):
    """An image, the truth, and an export of nine volunteers who drew it."""
    image = save_volume("image.zarr", truth * 90 + 60, voxel_nm=(50, 40, 40))
    labels = save_volume("truth.zarr", truth, voxel_nm=(50, 40, 40), kind="labels")
    export = str(tmp_path / "c.csv")
    options = CrowdOptions(volunteers=9, crowd="clean")
    run_crowd(plan_crowd(labels.info, export, options), runner)
    return image.info, export


def annotated(scene, tmp_path, runner, name="out.zarr", **options):
    image, export = scene
    given = AnnotateOptions(**{"block_slices": 4, **options})
    return run_annotate(plan_annotate(export, image, str(tmp_path / name), given), runner)


def voxels(volume):
    return volume.read(volume.info.box)


@pytest.mark.parametrize("method", ["cria", "cria-2021", "majority"])
def test_drawings_become_the_labels_they_were_made_from(scene, tmp_path, runner, truth, method):
    made = annotated(scene, tmp_path, runner, method=method)
    labels, envelope, agreement, ignore = map(voxels, made.volumes)
    both = 2 * (labels & truth).sum() / (labels.sum() + truth.sum())
    assert both > 0.93
    assert ((agreement >= 128) == (labels == 1)).all()
    assert not ignore.any()
    # the envelope runs along the outline: part of it inside, part of it outside
    assert 0.2 < (envelope & labels).sum() / envelope.sum() < 0.8
    assert made.gathered.summary.rejected == {}
    page = Path(made.written.page).read_text()
    assert "<html" in page
    assert "volunteers needed" in page.lower()


def test_blocks_and_engines_change_nothing(scene, tmp_path, runner, dask_runner):
    """One block, blocks that do not divide, and workers."""
    once = annotated(scene, tmp_path, runner, "a.zarr", block_slices=12)
    for name, runner_, size in (("b.zarr", runner, 5), ("c.zarr", dask_runner, 3)):
        again = annotated(scene, tmp_path, runner_, name, block_slices=size)
        for a, b in zip(once.volumes, again.volumes):
            assert np.array_equal(voxels(a), voxels(b))


def test_slices_that_too_few_looked_at_are_to_be_ignored(scene, tmp_path, runner):
    made = annotated(scene, tmp_path, runner, fewest_votes=10)
    assert voxels(made.volumes[3]).all()
    assert "too few looked" in Path(made.written.more_volunteers).read_text()


def test_a_second_run_finds_everything_done(scene, tmp_path, runner):
    first = annotated(scene, tmp_path, runner)
    done = []
    runner.watchers = (done.append,)
    again = annotated(scene, tmp_path, runner)
    assert not [one for one in done if type(one).__name__ == "BlockDone"]
    assert np.array_equal(voxels(first.volumes[0]), voxels(again.volumes[0]))


def test_what_is_no_export_is_one_line(scene, tmp_path, runner):
    image, _ = scene
    with pytest.raises(AnnotateError, match="does not exist; expected a classification export"):
        plan_annotate(str(tmp_path / "none.csv"), image, "o.zarr", AnnotateOptions())
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    plan = plan_annotate(
        str(tmp_path / "other.csv"), image, str(tmp_path / "o.zarr"), AnnotateOptions()
    )
    with pytest.raises(AnnotateError) as caught:
        run_annotate(plan, runner)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "o.zarr").exists()


def test_names_beside_the_labels():
    assert beside("a/l.zarr", "-envelope.zarr") == "a/l-envelope.zarr"
