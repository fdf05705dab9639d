"""From a truth to simulated volunteers and back to labels, by the commands a user types."""

import csv
import json
import re

import numpy as np
import pytest

from volproc.volume.store import open_volume


@pytest.fixture
def scene(save_volume):
    """An image of two nuclei, and their labels."""
    y, x = np.mgrid[:160, :200]
    plane = ((y - 70) ** 2 + (x - 60) ** 2 < 45**2) | ((y - 90) ** 2 + (x - 150) ** 2 < 30**2)
    truth = np.stack([plane] * 6).astype("uint8")
    noise = np.random.default_rng(1).integers(0, 30, truth.shape, dtype="uint8")
    save_volume("image.zarr", truth * 80 + 60 + noise, voxel_nm=(50, 40, 40))
    save_volume("truth.zarr", truth, voxel_nm=(50, 40, 40), kind="labels")
    return truth


@pytest.mark.parametrize("classifier", [1, 2])
def test_the_loop(in_folder, scene, tmp_path, classifier):
    crowd = ("crowd", "truth.zarr", "c.csv", "--volunteers", 7, "--classifier", classifier)
    assert in_folder(*crowd, "--labels", 1, "--scale", 0.75, "--serial")[0] == 0
    annotate = ("annotate", "c.csv", "image.zarr", "labels.zarr", "--along-z", "--serial")
    choice = ("--task", "T0", "--tool", 0, "--frames", "all", "--rois", "truth", "--no-skills")
    assert in_folder(*annotate, *choice, "--block-slices", 4)[0] == 0
    labels = open_volume(tmp_path / "labels.zarr")
    found = labels.read(labels.info.box)
    assert 2 * (found & scene).sum() / (found.sum() + scene.sum()) > 0.9
    assert in_folder("check", "labels.zarr", "--deep", "--serial")[0] == 0
    assert in_folder("evaluate", "labels.zarr", "truth.zarr", "--serial")[0] == 0
    with open(tmp_path / "c.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert json.loads(rows[0]["metadata"])["subject_dimensions"][0]["naturalWidth"] == 150
    names = {row["user_name"] for row in rows}
    written = (tmp_path / "labels-quality.html").read_text()
    written += (tmp_path / "labels-rejected.csv").read_text()
    assert not any(name in written for name in names)


def test_subjects_come_back_by_their_manifest(in_folder, scene, tmp_path):
    subjects = ("subjects", "image.zarr", "out", "--frames", 3, "--roi", 6, 160, 200, "--serial")
    assert in_folder(*subjects)[0] == 0
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 6
    with open(tmp_path / "out" / "manifest.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 6


def test_an_export_of_something_else_is_one_line(in_folder, scene, tmp_path):
    (tmp_path / "other.csv").write_text("name,age\nx,1\n")
    code, said = in_folder("annotate", "other.csv", "image.zarr", "labels.zarr", "--serial")
    lines = [line for line in said.splitlines() if line.startswith("volproc: ")]
    assert (code, len(lines)) == (2, 1)
    assert "other.csv" in lines[0]
    assert not (tmp_path / "labels.zarr").exists()


@pytest.mark.real
def test_a_real_export_whole_without_its_images(in_folder, real_data, tmp_path):
    """Twenty photographs of cats: 89 people's rows, 94 marks, and lines of at least k people."""
    export = real_data / "zooniverse" / "drawing-classifications.csv"
    names = ("--subject-name", "subject_id", "--frame-name", "image_name", "--frame-pattern", ".*")
    flags = (*names, "--first-slice", 0, "--voxel-nm", 10, 10, 10, "--levels", "--serial")
    code, said = in_folder("annotate", export, "none", "cats.zarr", *flags)
    assert code == 0, said
    (votes,) = tmp_path.glob("cats.zarr.volproc/votes-*/votes.json")
    assert json.loads(votes.read_text())["summary"] == {
        "rows": 89,
        "marks": {"freehand (classifier 2)": 86, "polygon (classifier 2)": 8},
        "open_lines": 6,
        "closed_lines": 88,
        "absent": 4,
        "rejected": {},
        "left_out": {"drawn again": 7},
        "dropped_marks": {},
        "dropped_points": 0,
        "votes": 82,
        "slices": 20,
        "volunteers": 16,
    }
    assert open_volume(tmp_path / "cats.zarr").info.shape == (20, 640, 1024)
    pictures = sorted((tmp_path / "cats-levels").iterdir())
    assert [p.name.partition("_")[0] for p in pictures] == [f"z{z:04}" for z in range(20)]
    first = pictures[0].read_text()
    assert "1, slice 0: 4 looked, 0 saw nothing" in first
    assert re.findall(r">(\d+)</text>", first) == ["1", "2", "3", "4"]
    page = (tmp_path / "cats-quality.html").read_text()
    assert page.count("<svg") >= 20 + 3
    with open(tmp_path / "cats-manifest.csv", newline="") as file:
        regions = [
            (row["roi"], row["roi_height"], row["roi_width"]) for row in csv.DictReader(file)
        ]
    assert regions[:2] == [("1", "635", "1024"), ("2", "435", "640")]
