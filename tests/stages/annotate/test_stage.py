import csv
import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from volproc import AnnotateOptions, CrowdOptions
from volproc.engine.events import BlockDone
from volproc.errors import AnnotateError, VolumeError
from volproc.stages.annotate.methods import METHODS
from volproc.stages.annotate.stage import plan_annotate, run_annotate
from volproc.stages.crowd.stage import plan_crowd, run_crowd
from volproc.volume.file_io import sibling


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


@pytest.fixture
def small_scene(tmp_path, save_volume, truth, runner):
    """Four slices of it, drawn by five."""
    image = save_volume("image.zarr", truth[2:6] * 90 + 60, voxel_nm=(50, 40, 40))
    labels = save_volume("truth.zarr", truth[2:6], voxel_nm=(50, 40, 40), kind="labels")
    export = str(tmp_path / "c.csv")
    options = CrowdOptions(volunteers=5, crowd="clean")
    run_crowd(plan_crowd(labels.info, export, options), runner)
    return image.info, export


def annotated(scene, tmp_path, runner, name="out.zarr", **options):
    image, export = scene
    given = AnnotateOptions(**{"block_slices": 4, **options})
    return run_annotate(plan_annotate(str(export), image, str(tmp_path / name), given), runner)


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


def test_blocks_change_nothing(scene, tmp_path, runner):
    """One block, and blocks that do not divide."""
    once = annotated(scene, tmp_path, runner, "a.zarr", block_slices=12)
    again = annotated(scene, tmp_path, runner, "b.zarr", block_slices=5)
    for a, b in zip(once.volumes, again.volumes):
        assert np.array_equal(voxels(a), voxels(b))


@pytest.mark.dask
def test_workers_find_the_same(small_scene, tmp_path, runner, dask_runner):
    once = annotated(small_scene, tmp_path, runner, "a.zarr")
    again = annotated(small_scene, tmp_path, dask_runner, "b.zarr", block_slices=3)
    for a, b in zip(once.volumes, again.volumes):
        assert np.array_equal(voxels(a), voxels(b))


def ground_truth_of(tmp_path):
    return str(tmp_path / "truth.zarr")


def test_labels_are_scored_against_a_truth(small_scene, tmp_path, runner, truth):
    made = annotated(small_scene, tmp_path, runner, ground_truth=ground_truth_of(tmp_path))
    labels, truth = voxels(made.volumes[0]), truth[2:6]
    with open(made.written.scores.replace(".json", ".csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["z"]) for row in rows] == [0, 1, 2, 3]
    for row, a, b in zip(rows, labels, truth):
        assert (row["roi"], row["method"]) == ("truth", "cria")
        assert float(row["dice"]) == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()), 1e-5)
        assert int(row["fragments"]) == 1 + (int(row["z"]) > 1)
    told = json.loads(Path(made.written.scores).read_text())
    assert told["all"]["cria"]["slices"] == 4
    assert told["all"]["cria"]["masd_nm"] == pytest.approx(made.scores["cria"].masd_nm)
    assert "surface Dice" in told["formulas"]["nsd_50"]
    page = Path(made.written.page).read_text()
    assert 'id="scores"' in page
    assert "measured against the ground truth" in page


def test_a_truth_of_a_part_of_the_image_scores_that_part(
    small_scene, tmp_path, runner, save_volume, truth
):
    cut = (slice(1, 3), slice(10, None), slice(0, 100))
    corner = (-25 + 50, -20 + 400, -20)
    kept = truth[2:6][cut]
    part = save_volume("part.zarr", kept, voxel_nm=(50, 40, 40), corner_nm=corner, kind="labels")
    made = annotated(small_scene, tmp_path, runner, ground_truth=part.info.url, compare=True)
    labels = voxels(made.volumes[0])[cut]
    with open(made.written.scores.replace(".json", ".csv"), newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "cria"]
    assert [int(row["z"]) for row in rows] == [1, 2]
    for row, a, b in zip(rows, labels, kept):
        assert float(row["dice"]) == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()), 1e-5)
    assert len(made.scores) == len(METHODS)


def test_a_truth_lies_where_its_metadata_say(small_scene, tmp_path, save_volume, truth):
    image, export = small_scene
    away = save_volume(
        "away.zarr", truth[2:6], voxel_nm=(50, 40, 40), corner_nm=(1e6, 0, 0), kind="labels"
    )
    with pytest.raises(VolumeError, match="they meet nowhere"):
        plan_annotate(export, image, "o.zarr", AnnotateOptions(ground_truth=away.info.url))
    rounded = save_volume("r.zarr", truth[2:6], voxel_nm=(50, 40.35, 39.65), kind="labels")
    plan = plan_annotate(export, image, "o.zarr", AnnotateOptions(ground_truth=rounded.info.url))
    assert plan.truth.where == image.box
    assert plan.truth.sampling.factor == (1, 1, 1)
    blank = replace(image, url="")
    plan = plan_annotate(export, blank, "o.zarr", AnnotateOptions(ground_truth=away.info.url))
    assert plan.truth.where == image.box  # a blank image lies nowhere


def test_one_option_compares_all_methods(small_scene, tmp_path, runner):
    alone = annotated(
        small_scene, tmp_path, runner, "a.zarr", method="em", ground_truth=ground_truth_of(tmp_path)
    )
    options = {"method": "rasa", "compare": True, "along_z": True}
    made = annotated(
        small_scene, tmp_path, runner, ground_truth=ground_truth_of(tmp_path), **options
    )
    assert list(made.scores) == ["rasa, along z", *METHODS]
    assert made.scores["em"] == alone.scores["em"]
    assert made.scores["cria"].dice > 0.95
    page = Path(made.written.page).read_text()
    assert all(f'<td class="word">{name}</td>' in page for name in made.scores)


def test_without_a_truth_methods_are_compared_with_one_another(small_scene, tmp_path, runner):
    made = annotated(small_scene, tmp_path, runner, compare=True)
    assert (made.written.scores, made.scores) == ("", {})
    with open(made.written.methods, newline="") as file:
        rows = list(csv.DictReader(file))
    pairs = {(row["method"], row["other"]) for row in rows}
    assert pairs == set(combinations(METHODS, 2))
    assert len(rows) == 4 * len(pairs)
    assert all(0.5 < float(row["dice"]) <= 1 for row in rows)
    assert 'id="methods"' in Path(made.written.page).read_text()


def test_trials_leave_the_volumes_and_the_votes_alone(small_scene, tmp_path, runner):
    """A truth, other methods and pictures may be asked for later: nothing is drawn again."""
    annotated(small_scene, tmp_path, runner)
    begun = []
    runner.watchers = (begun.append,)
    annotated(
        small_scene,
        tmp_path,
        runner,
        ground_truth=ground_truth_of(tmp_path),
        compare=True,
        levels=True,
    )
    done = {one.step for one in begun if isinstance(one, BlockDone)}
    assert done == {"try smaller crowds", "score and compare", "draw level sets"}
    begun.clear()
    runner.overwrite = True
    annotated(small_scene, tmp_path, runner, method="majority", envelope_nm=200)
    assert not any("export" in getattr(one, "step", "") for one in begun)


def test_level_sets_of_all_slices_are_files(small_scene, tmp_path, runner):
    annotated(small_scene, tmp_path, runner, levels=True)
    files = sorted((tmp_path / "out-levels").iterdir())
    assert [file.name for file in files] == [f"z{z:04}_truth.svg" for z in range(4)]
    for file in files:
        root = ElementTree.parse(file).getroot()
        assert root.tag.endswith("svg")
        assert "5 looked" in root[0].text


def test_a_truth_on_another_grid_is_one_line(small_scene, tmp_path, save_volume):
    image, export = small_scene
    save_volume("t.zarr", np.zeros((4, 60, 70), np.uint8), voxel_nm=(50, 80, 80), kind="labels")
    options = AnnotateOptions(ground_truth=str(tmp_path / "t.zarr"))
    said = "t.zarr has 4 x 60 x 70 voxels of 50 x 80 x 80 nm, the image 4 x 120 x 140"
    with pytest.raises(AnnotateError, match=said):
        plan_annotate(export, image, "o.zarr", options)
    save_volume("f.zarr", np.zeros((4, 120, 140), np.float32), voxel_nm=(50, 40, 40))
    options = AnnotateOptions(ground_truth=str(tmp_path / "f.zarr"))
    with pytest.raises(VolumeError, match=r"f\.zarr holds float32; the truth needs whole numbers"):
        plan_annotate(export, image, "o.zarr", options)


def test_the_order_of_rows_changes_nothing(small_scene, tmp_path, runner):
    image, export = small_scene
    with open(export, newline="") as file:
        header, *rows = csv.reader(file)
    np.random.default_rng(1).shuffle(rows)
    with open(tmp_path / "shuffled.csv", "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    options = {"compare": True, "along_z": True, "truth": ground_truth_of(tmp_path)}
    once = annotated(small_scene, tmp_path, runner, "a.zarr", **options)
    again = annotated((image, tmp_path / "shuffled.csv"), tmp_path, runner, "b.zarr", **options)
    assert once.scores == again.scores
    assert len(once.scores) == 1 + len(METHODS)
    for a, b in zip(once.volumes, again.volumes):
        assert np.array_equal(voxels(a), voxels(b))


def test_slices_that_too_few_looked_at_are_to_be_ignored(small_scene, tmp_path, runner):
    made = annotated(small_scene, tmp_path, runner, min_votes=10)
    assert voxels(made.volumes[3]).all()
    assert "too few looked" in Path(made.written.more_volunteers).read_text()


def test_a_second_run_finds_everything_done(small_scene, tmp_path, runner):
    first = annotated(small_scene, tmp_path, runner)
    done = []
    runner.watchers = (done.append,)
    again = annotated(small_scene, tmp_path, runner)
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
    assert sibling("a/l.zarr", "-envelope.zarr") == "a/l-envelope.zarr"


def test_a_truth_of_slices_that_nobody_drew_scores_nothing(tmp_path, runner, save_volume, truth):
    nm, export = (50, 40, 40), str(tmp_path / "c.csv")
    image = save_volume("seven.zarr", np.zeros((7, 120, 140), np.uint8), voxel_nm=nm)
    first, last = (
        save_volume(name, values, voxel_nm=nm, corner_nm=(z * 50 - 25, -20, -20), kind="labels")
        for name, values, z in (
            ("first.zarr", truth[2:6], 1),
            ("last.zarr", np.ones((2, 120, 140), np.uint8), 5),
        )
    )
    run_crowd(plan_crowd(first.info, export, CrowdOptions(volunteers=5, crowd="clean")), runner)
    made = annotated(
        (image.info, export), tmp_path, runner, ground_truth=last.info.url, compare=True
    )
    assert made.scores == {}


@pytest.mark.parametrize("beyond", [0, 2])
def test_a_crowd_that_drew_a_crop_is_placed_where_the_crop_lies(
    tmp_path, save_volume, truth, runner, beyond
):
    """The crop, and one whose first slices and rows lie outside the image."""
    nm, first = (50.0, 40.0, 40.0), (0, 0, 7) if beyond else (4, 13, 7)
    image = save_volume("image.zarr", truth * 90 + 60, voxel_nm=nm)
    shown = truth[4:9, 13:113, 7:117]
    kept = np.pad(shown, [(beyond, 0), (beyond, 0), (0, 0)])
    at = np.subtract(first, (beyond, beyond, 0))
    corner = tuple(np.add(image.info.corner_nm, at * nm).tolist())
    crop = save_volume("crop.zarr", kept, voxel_nm=nm, corner_nm=corner, kind="labels")
    export = str(tmp_path / "crop.csv")
    run_crowd(plan_crowd(crop.info, export, CrowdOptions(volunteers=5, crowd="clean")), runner)
    made = annotated((image.info, export), tmp_path, runner)
    labels, _, _, ignore = map(voxels, made.volumes)
    expected = np.zeros_like(truth)
    where = tuple(slice(a, a + n) for a, n in zip(first, shown.shape, strict=True))
    expected[where] = shown
    assert 2 * (labels & expected).sum() / (labels.sum() + expected.sum()) > 0.93
    assert (ignore[where] == 0).all()
    assert ignore.sum() == ignore.size - ignore[where].size
    reasons = made.gathered.summary.rejected
    assert reasons == ({"outside the volume": 5 * beyond} if beyond else {})


def test_a_crowd_that_drew_a_crop_which_does_not_say_where_it_lies_is_refused(
    tmp_path, save_volume, truth, runner
):
    image = save_volume("image.zarr", truth * 90 + 60, voxel_nm=(50, 40, 40))
    # as wide to its height as the image: nothing but its size tells
    kept = truth[:, ::2, ::2]
    crop = save_volume("crop.zarr", kept, voxel_nm=(50, 40, 40), kind="labels")
    export = str(tmp_path / "crop.csv")
    run_crowd(plan_crowd(crop.info, export, CrowdOptions(volunteers=3, crowd="clean")), runner)
    with pytest.raises(AnnotateError, match="crop has 12 x 60 x 70 voxels, the volume 12 x 120"):
        annotated((image.info, export), tmp_path, runner)
