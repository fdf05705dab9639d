"""A model of several classes from a workflow file to the report, and what cannot work with it."""

import csv
import json

import numpy as np
import pytest
from tests.two_classes import CLASSES, PLACES, save_two_classes, scene

from volproc.volume.channels import holds_votes
from volproc.volume.store import open_volume

BRIGHT, DARK = CLASSES


@pytest.fixture
def workflow(tmp_path, save_volume, monkeypatch):
    """workflow(more): the arguments that run the scene; `more` are tables of the workflow."""
    monkeypatch.chdir(tmp_path)
    image, truth = scene()
    save_volume("image.zarr", image)
    save_volume("truth.zarr", truth, kind="labels")
    said = {"purpose": "balls <in> noise", "licence": "CC0-1.0"}
    said["validation"] = {BRIGHT: {"z": 0.91, "mean": 0.93}}
    save_two_classes(tmp_path / "model", **said)

    def written(more=""):
        (tmp_path / "w.toml").write_text(
            '[run]\nsource = "image.zarr"\nfolder = "run"\n[cluster]\nkind = "serial"\n'
            f'[predict]\nmodel = "model"\nagreement = true\n{more}'
        )
        return "run", tmp_path / "w.toml", "--quiet"

    return written


@pytest.fixture
def run(tmp_path, workflow, volproc):
    """run(more): the folder of a finished run."""

    def finished(more=""):
        code, said = volproc(*workflow(more))
        assert code == 0, said
        return tmp_path / "run"

    return finished


LABEL = "[label]\nmin_volume_um3 = 0.01\n"


def table(folder):
    with (folder / "objects.csv").open() as file:
        return list(csv.DictReader(file))


def test_objects_of_all_classes_are_found_named_and_shown(run):
    folder = run(LABEL + "[measure]\n")
    prediction = open_volume(folder / "prediction.zarr")
    assert prediction.info.channels == CLASSES
    assert holds_votes(open_volume(folder / "votes.zarr").info)
    rows = table(folder)
    assert sorted(row["class"] for row in rows) == [BRIGHT] * 3 + [DARK] * 2
    labels = open_volume(folder / "objects.zarr")[...]
    for row in rows:
        middle = tuple(round(float(row[f"centroid_{axis}"])) for axis in "zyx")
        grey = 220 if row["class"] == BRIGHT else 40
        assert middle in PLACES[grey]
        assert labels[middle] == int(row["id"])
    page = (folder / "report.html").read_text()
    for name in CLASSES:
        assert f"Votes: {name}</figcaption>" in page
        assert f"<h3>{name}</h3>" in page
    assert "3 bright organelle, 2 dark organelle" in page
    assert page.count('<td data-v="1">dark organelle</td>') == 2
    assert "balls &lt;in&gt; noise" in page
    assert "axes zyx, mean" in page
    assert "bright organelle z 0.910, mean 0.930" in page


def test_one_class_is_labelled_scored_and_measured_by_its_name(run):
    of = f'object_class = "{DARK}"\n'
    scored = f'[evaluate]\nground_truth = "truth.zarr"\nground_truth_labels = [2]\n{of}'
    folder = run(LABEL + of + scored + f"[measure]\n{of}")
    assert len(table(folder)) == 2
    scores = json.loads((folder / "scores.json").read_text())["scores"]
    assert {row["answer"] for row in scores} >= {"prediction", "votes z", "votes y", "votes x"}
    assert all(row["dice"] > 0.99 for row in scores)
    with (folder / "measure" / "objects.csv").open() as file:
        assert [float(row["agreement"]) for row in csv.DictReader(file)] == pytest.approx([1, 1])


def test_a_subset_of_one_class_is_a_volume_without_channels(run):
    folder = run(f'classes = ["{BRIGHT}"]\n{LABEL}object_class = "{BRIGHT}"\n')
    assert open_volume(folder / "prediction.zarr").shape == (32, 48, 52)
    assert len(table(folder)) == 3


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('classes = ["golgi"]\n', ("no class 'golgi'", BRIGHT, DARK)),
        ('[label]\nobject_class = "golgi"\n', ("[label] object_class", "'golgi'", BRIGHT, DARK)),
        (
            f'classes = ["{BRIGHT}"]\n[label]\nobject_class = "{DARK}"\n',
            (f"holds {BRIGHT} only", "[label] object_class"),
        ),
        (
            '[evaluate]\nground_truth = "truth.zarr"\n',
            (BRIGHT, DARK, "name one of them as [evaluate] object_class"),
        ),
        ("[interior]\n", (BRIGHT, DARK, "name one of them as [interior] object_class")),
    ],
)
def test_classes_that_are_not_there_or_not_named_are_refused(
    workflow, refused, tmp_path, more, words
):
    refused(*words, by=workflow(more))
    assert not (tmp_path / "run" / "prediction.zarr").exists()


def test_commands_need_the_class_in_one_line(run, refused, tmp_path):
    run(LABEL)
    serial, out = ("--serial", "--voxel-nm")[:1], tmp_path / "o.zarr"
    prediction, votes = tmp_path / "run/prediction.zarr", tmp_path / "run/votes.zarr"
    refused("name one of them as [label] object_class", by=("label", prediction, out, *serial))
    refused("the votes of single axes", "fused prediction", by=("label", votes, out, *serial))
    truth = tmp_path / "truth.zarr"
    refused("name one of them as [evaluate]", by=("evaluate", prediction, truth, *serial))
    refused("has the votes for", BRIGHT, "[evaluate]", by=("evaluate", votes, truth, *serial))
    image = tmp_path / "image.zarr"
    flag = ("--object-class", BRIGHT)
    refused("has no channels", "leave", by=("label", image, out, *serial, *flag))
    assert not out.exists()
    assert np.unique(open_volume(truth)[...]).tolist() == [0, 1, 2]
