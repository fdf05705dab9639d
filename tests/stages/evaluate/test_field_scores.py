"""Scores of the field as a stage: surfaces, objects, classes, thresholds, what is ignored."""

import csv
import io
import json

import numpy as np
import pytest
from scipy import ndimage
from tests.stages.evaluate.test_stage import at_voxel, evaluate, smooth, write_volume

from volproc import ClusterOptions, EvaluateOptions
from volproc import evaluate as evaluate_command
from volproc.errors import ConfigError, VolumeError
from volproc.stages.evaluate import score_blocks
from volproc.stages.evaluate.plan import plan_evaluate
from volproc.stages.scores.contingency import Contingency, block_contingency
from volproc.stages.scores.surface_distances import compare, pool

SHAPE = (20, 40, 44)
NM = (50, 10, 10)
FAR = {"most_distance_nm": 1000.0}


@pytest.fixture
def objects(tmp_path):
    """Two label volumes with several objects, as arrays and as volumes."""
    grey = smooth(0, *SHAPE)
    truth = ndimage.label(grey > 140)[0].astype(np.uint32)
    result = ndimage.label(np.roll(grey, 1, axis=2) > 135)[0].astype(np.uint32)
    volumes = (
        write_volume(tmp_path / f"{name}.zarr", values, kind="labels", voxel_nm=NM)
        for name, values in (("truth", truth), ("result", result))
    )
    return truth, result, *volumes


def test_surfaces_are_those_of_the_whole_arrays(tmp_path, objects):
    a, b, truth, result = objects
    a, b = a > 0, b > 0
    found = evaluate(tmp_path / "x", {"r": result}, truth, surfaces="both", **FAR)["r"]
    space = compare(a, b, nm=NM, at_border=False).surfaces.scores()
    assert dict(found.surfaces["3d"]) == pytest.approx(space, rel=1e-6)
    slices = [compare(a[z], b[z], nm=NM[1:], at_border=False) for z in range(SHAPE[0])]
    assert dict(found.surfaces["2d"]) == pytest.approx(pool(slices).surfaces.scores(), rel=1e-6)
    for z in (0, 11):
        assert dict(found.outlines[z]) == pytest.approx(slices[z].surfaces.scores(), rel=1e-6)
    mean = np.mean([one.surfaces.scores()["masd_nm"] for one in slices])
    assert found.surfaces["2d mean"]["masd_nm"] == pytest.approx(mean)


def test_objects_are_those_of_the_whole_arrays(tmp_path, objects):
    a, b, truth, result = objects
    found = evaluate(tmp_path / "x", {"r": result}, truth)["r"].objects
    table = Contingency.of(block_contingency(a, b))
    assert {name: found[name] for name in table.scores()} == table.scores()
    assert {one["truth"]: one["results"] for one in found["split"]} == table.splits()
    assert {one["result"]: one["truths"] for one in found["merged"]} == table.merges()


EVERYTHING = {"surfaces": "both", "reference": True, "most_distance_nm": 120.0}


@pytest.mark.parametrize("thickness", [1, 64])
def test_everything_is_equal_for_all_blocks(tmp_path, objects, monkeypatch, thickness):
    _, _, truth, result = objects
    one = evaluate(tmp_path / "one", {"r": result}, truth, **EVERYTHING)
    monkeypatch.setattr(score_blocks, "BLOCK_VOXELS", 1)
    monkeypatch.setattr(score_blocks, "THICKNESS", thickness)
    url = str(tmp_path / "many.json")
    many = evaluate(tmp_path / "many", {"r": result}, truth, url=url, **EVERYTHING)
    assert many.to_json() == one.to_json()
    assert many["r"].errors.counts.tolist() == one["r"].errors.counts.tolist()
    with open(url) as file:
        assert file.read() == one.to_json()


@pytest.mark.dask
def test_everything_is_equal_for_all_engines(tmp_path, objects):
    _, _, truth, result = objects
    found = [
        evaluate_command(
            result.url,
            truth.url,
            out=tmp_path / f"{n}.json",
            csv=tmp_path / f"{n}.csv",
            cluster=ClusterOptions(**kind),
            **EVERYTHING,
        ).to_json()
        for n, kind in enumerate(({"kind": "serial"}, {"kind": "local", "workers": 2}))
    ]
    assert found[0] == found[1]
    assert (tmp_path / "0.csv").read_text() == (tmp_path / "1.csv").read_text()


def test_what_is_ignored_does_not_count(tmp_path, objects):
    """Scores are those of volumes in which the ignored half is not there."""
    a, b, truth, result = objects
    marked = np.zeros(SHAPE, np.uint8)
    marked[:, :, 20:] = 1
    ignore = write_volume(tmp_path / "i.zarr", marked, kind="labels", voxel_nm=NM)
    options = EvaluateOptions(**EVERYTHING)
    halves = [
        write_volume(tmp_path / f"{n}.zarr", side[:, :, :20], kind="labels", voxel_nm=NM)
        for n, side in enumerate((a, b))
    ]
    plan = plan_evaluate({"r": result}, truth, options, ignore=ignore)
    from volproc.engine.run import Runner
    from volproc.engine.serial import SerialEngine
    from volproc.stages.evaluate.stage import run_evaluate

    found = run_evaluate(plan, Runner(SerialEngine(), tmp_path / "records"))["r"]
    expected = evaluate(tmp_path / "half", {"r": halves[1]}, halves[0], **EVERYTHING)["r"]
    assert found == expected


def test_thresholds_are_swept_exactly(tmp_path, objects):
    _, _, truth, _ = objects
    grey = smooth(0, *SHAPE)
    result = write_volume(tmp_path / "p.zarr", grey, voxel_nm=NM)
    score = evaluate(tmp_path / "x", {"r": result}, truth, surfaces="none", threshold=0.4)["r"]
    inside = objects[0] > 0
    for level in (1, 102, 140, 141, 142, 255):
        found = grey >= level
        dice = 2 * (found & inside).sum() / (found.sum() + inside.sum())
        assert score.sweep["dice"][level - 1] == pytest.approx(dice)
        assert score.sweep["threshold"][level - 1] == pytest.approx(level / 255, abs=1e-4)
    assert score.sweep["dice"][101] == score.whole.dice  # 0.4 is level 102
    best = score.sweep["best"]
    assert (best["dice"], best["threshold"]) == (1, round(141 / 255, 4))


def test_a_probability_in_floats_is_swept_at_the_same_levels(tmp_path, objects):
    _, _, truth, _ = objects
    grey = smooth(0, *SHAPE)
    whole, floats = (
        write_volume(tmp_path / f"{n}.zarr", values, voxel_nm=NM)
        for n, values in enumerate((grey, (grey / 255).astype("float32")))
    )
    how = {"surfaces": "none"}
    sweeps = [
        evaluate(tmp_path / f"x{n}", {"r": info}, truth, **how)["r"].sweep
        for n, info in enumerate((whole, floats))
    ]
    assert sweeps[0] == sweeps[1]


def test_classes_are_scored_one_by_one(tmp_path):
    grey = smooth(0, *SHAPE)
    truth = np.digitize(grey, [100, 150]).astype(np.uint8)
    expert = write_volume(tmp_path / "t.zarr", truth, kind="labels", voxel_nm=NM)
    moved = np.roll(truth, 1, axis=2)
    labels = write_volume(tmp_path / "l.zarr", moved, kind="labels", voxel_nm=NM)
    channels = write_volume(
        tmp_path / "c.zarr",
        np.stack([np.where(moved == 2, 200, 20), np.where(moved == 1, 200, 20)]).astype(np.uint8),
        channels=("cell", "membrane"),
        voxel_nm=NM,
    )
    how = {"classes": ("membrane=1", "cell=2"), **FAR}
    by_label = evaluate(tmp_path / "x", {"r": labels}, expert, **how)
    by_channel = evaluate(tmp_path / "y", {"r": channels}, expert, **how)
    assert [score.name for score in by_label.scores] == ["r membrane", "r cell"]
    for number, name in ((1, "r membrane"), (2, "r cell")):
        expected = compare(truth == number, moved == number, nm=NM, at_border=False)
        assert by_label[name].whole.dice == pytest.approx(expected.scores()["dice"])
        assert by_label[name].surfaces == by_channel[name].surfaces
        masd = expected.surfaces.scores()["masd_nm"]
        assert by_label[name].surfaces["3d"]["masd_nm"] == pytest.approx(masd)
        assert by_label[name].objects is None
        assert by_channel[name].sweep["best"]["dice"] == by_label[name].whole.dice
    assert by_label.about["classes"] == {"membrane": (1,), "cell": (2,)}


def test_the_published_distance_is_that_of_all_pixels(tmp_path, objects):
    a, b, truth, result = objects
    a, b = a > 0, b > 0
    found = evaluate(tmp_path / "x", {"r": result}, truth, reference=True, **FAR)["r"]

    def h(here, there):
        return ndimage.distance_transform_edt(~there)[here].mean()

    expected = [
        (h(a[z], b[z]) + h(b[z], a[z])) / 2 for z in range(SHAPE[0]) if a[z].any() and b[z].any()
    ]
    assert found.reference["average_hausdorff_px"] == pytest.approx(np.mean(expected), abs=1e-6)
    assert found.reference["slices"] == len(expected)


def test_the_published_distance_leaves_out_slices_without_one_side(tmp_path):
    a, b = np.zeros((2, 16, 20, 20), np.uint8)
    a[4:12, 5:15, 5:15] = 1
    b[6:14, 5:15, 5:15] = 1
    truth, result = (
        write_volume(tmp_path / f"{n}.zarr", side, kind="labels", voxel_nm=NM)
        for n, side in enumerate((a, b))
    )
    how = {"reference": True, "surfaces": "2d"}
    found = evaluate(tmp_path / "x", {"r": result}, truth, **how)["r"]
    assert found.reference == {"average_hausdorff_px": 0.0, "slices": 6, "left_out": 10}
    # ours counts them: four of ten slices are as far apart as distances go
    assert found.surfaces["2d mean"]["masd_nm"] == pytest.approx(0.4 * 500)
    assert found.surfaces["2d mean"]["bf_50"] == pytest.approx(0.6)


def test_nothing_against_nothing_is_undefined_and_against_something_the_worst(tmp_path):
    nothing, something = np.zeros((2, 16, 20, 20), np.uint8)
    something[4:12, 5:15, 5:15] = 1
    empty, there = (
        write_volume(tmp_path / f"{n}.zarr", side, kind="labels", voxel_nm=NM)
        for n, side in enumerate((nothing, something))
    )
    neither = evaluate(tmp_path / "a", {"r": empty}, empty, surfaces="both")
    assert {*neither["r"].surfaces["3d"].values(), *neither["r"].surfaces["2d"].values()} == {None}
    assert neither.formulas["empty"] == "null: neither side has anything there"
    for n, pair in enumerate(((empty, there), (there, empty))):
        row = evaluate(tmp_path / f"b{n}", {"r": pair[0]}, pair[1])["r"].surfaces["3d"]
        assert row == pytest.approx({k: 500.0 if k.endswith("_nm") else 0.0 for k in row})


def test_a_single_slice_is_compared_as_outlines(tmp_path):
    a, b = np.zeros((2, 1, 20, 20), np.uint8)
    a[0, 5:15, :10] = 1
    b[0, 5:15, :12] = 1
    truth, result = (
        write_volume(tmp_path / f"{n}.zarr", side, kind="labels", voxel_nm=NM)
        for n, side in enumerate((a, b))
    )
    assert [*evaluate(tmp_path / "x", {"r": result}, truth)["r"].surfaces] == ["2d", "2d mean"]


def test_every_score_has_a_formula(tmp_path, objects):
    _, _, truth, result = objects
    scores = evaluate(tmp_path / "x", {"r": result}, truth, **EVERYTHING)
    (listed,) = json.loads(scores.to_json())["scores"]
    named = {*listed["surfaces"]["3d"], *listed["objects"], *listed["reference"]}
    named = {name.replace("_50", "_T").replace("_100", "_T") for name in named}
    counts = {"objects_tp", "objects_fp", "objects_fn", "split", "merged", "slices", "left_out"}
    assert named - counts <= set(scores.formulas)


def test_lists_of_numbers_are_single_lines(tmp_path, objects):
    _, _, truth, _ = objects
    result = write_volume(tmp_path / "p.zarr", smooth(0, *SHAPE), voxel_nm=NM)
    text = evaluate(tmp_path / "x", {"r": result}, truth, surfaces="none").to_json()
    assert '"slices": [ 0, 20 ]' in text
    (line,) = [one for one in text.splitlines() if one.strip().startswith('"threshold": [')]
    assert len(json.loads("{" + line.strip().rstrip(",") + "}")["threshold"]) == 255


def test_table_and_page(tmp_path, objects):
    a, _, truth, result = objects
    image = write_volume(tmp_path / "image.zarr", smooth(0, *SHAPE), voxel_nm=NM)
    evaluate_command(
        result.url,
        truth.url,
        csv=tmp_path / "s.csv",
        page=tmp_path / "s.html",
        image=image.url,
        surfaces="2d",
        cluster=ClusterOptions(kind="serial"),
    )
    rows = [*csv.DictReader(io.StringIO((tmp_path / "s.csv").read_text()))]
    of = {row["of"] for row in rows}
    assert of == {"whole", "surfaces 2d", "surfaces 2d mean", "objects", "slice", "object"}
    single = [row for row in rows if row["of"] == "object"]
    assert [int(row["voxels"]) for row in single] == np.bincount(a.ravel())[1:].tolist()
    page = (tmp_path / "s.html").read_text()
    assert page.count("data:image/png;base64,") == page.count("<figure>") >= 3
    assert "MASD of outlines by slice, nm" in page
    assert "http" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tolerances_nm": (-1,)}, "tolerances_nm"),
        ({"tolerances_nm": (600,)}, "tolerances_nm has 600, but .* most_distance_nm = 500"),
        ({"classes": ("nucleus",)}, "classes has 'nucleus', expected NAME=VALUE"),
        ({"classes": ("a=1",), "ground_truth_labels": (1,)}, "give one of them"),
        ({"classes": ("a=1",), "object_class": "a"}, "give one of them"),
        ({"surfaces": "4d"}, "surfaces"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, said):
    with pytest.raises(ConfigError, match=said) as error:
        EvaluateOptions(**options)
    assert "\n" not in str(error.value)


def test_volumes_that_do_not_fit_are_refused(tmp_path, objects):
    a, _, truth, result = objects
    how = {"kind": "labels", "voxel_nm": NM}
    coarse = write_volume(tmp_path / "i.zarr", a[:, ::2, ::2], kind="labels", voxel_nm=(50, 20, 20))
    part = write_volume(tmp_path / "j.zarr", a[:, :30], corner_nm=at_voxel(0, 0, 0), **how)
    votes = write_volume(tmp_path / "v.zarr", np.zeros((2, *SHAPE), np.uint8), channels=("z", "x"),
                         voxel_nm=NM)  # fmt: skip
    named = write_volume(tmp_path / "c.zarr", np.zeros((2, *SHAPE), np.uint8), voxel_nm=NM,
                         channels=("cell", "gap"))  # fmt: skip
    options = EvaluateOptions()
    for ignore in (coarse, part):
        with pytest.raises(VolumeError, match=r"must be on its grid and cover|field of view"):
            plan_evaluate({"r": result}, truth, options, ignore=ignore)
    with pytest.raises(ConfigError, match=r'channels cell, gap; name .* classes = \["cell=1"\]'):
        plan_evaluate({"r": named}, truth, options)
    with pytest.raises(ConfigError, match="neither a channel cell nor labels"):
        plan_evaluate({"r": votes}, truth, EvaluateOptions(classes=("cell=1",)))
    with pytest.raises(VolumeError, match=r"no voxel of .*truth.zarr is 99, which \[evaluate\] cl"):
        plan_evaluate({"r": result}, truth, EvaluateOptions(classes=("cell=99",)))
