"""From a truth to simulated volunteers and back to labels, by the commands a user types."""

import csv
import sys

import numpy as np
import pytest

from volproc import cli
from volproc.volume.store import open_volume


@pytest.fixture
def volproc(monkeypatch, capsys, tmp_path):
    """volproc("crowd", "truth.zarr", "c.csv"): the exit code and what was said to stderr."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["volproc", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr().err

    return command


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
def test_the_loop(volproc, scene, tmp_path, classifier):
    crowd = ("crowd", "truth.zarr", "c.csv", "--volunteers", 7, "--classifier", classifier)
    assert volproc(*crowd, "--serial")[0] == 0
    annotate = ("annotate", "c.csv", "image.zarr", "labels.zarr", "--along-z", "--serial")
    assert volproc(*annotate)[0] == 0
    labels = open_volume(tmp_path / "labels.zarr")
    found = labels.read(labels.info.box)
    assert 2 * (found & scene).sum() / (found.sum() + scene.sum()) > 0.9
    assert volproc("check", "labels.zarr", "--deep", "--serial")[0] == 0
    assert volproc("evaluate", "labels.zarr", "truth.zarr", "--serial")[0] == 0
    with open(tmp_path / "c.csv", newline="") as file:
        names = {row["user_name"] for row in csv.DictReader(file)}
    written = (tmp_path / "labels-quality.html").read_text()
    written += (tmp_path / "labels-rejected.csv").read_text()
    assert not any(name in written for name in names)


def test_subjects_come_back_by_their_manifest(volproc, scene, tmp_path):
    subjects = ("subjects", "image.zarr", "out", "--frames", 3, "--roi", 6, 160, 200, "--serial")
    assert volproc(*subjects)[0] == 0
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 6
    with open(tmp_path / "out" / "manifest.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 6


def test_an_export_of_something_else_is_one_line(volproc, scene, tmp_path):
    (tmp_path / "other.csv").write_text("name,age\nx,1\n")
    code, said = volproc("annotate", "other.csv", "image.zarr", "labels.zarr", "--serial")
    lines = [line for line in said.splitlines() if line.startswith("volproc: ")]
    assert (code, len(lines)) == (2, 1)
    assert "other.csv" in lines[0]
    assert not (tmp_path / "labels.zarr").exists()
