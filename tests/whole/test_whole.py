"""The whole road: a small volume in; prediction, objects, scores and a report out."""

import csv
import json
import re
import subprocess
import sys

import pytest

from volproc import cli
from volproc.volume.store import open_volume


@pytest.fixture(scope="module")
def finished(place):
    """A run on one process, as a user would start it."""
    here = place("serial")
    in_folder(here, "run", "workflow.toml", "--quiet")
    return here


def in_folder(here, *arguments):
    """The command line inside a workflow's folder, in this process; what was said."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here.folder)
        patch.setattr(sys, "argv", ["volproc", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert not end.value.code


def ids_of(table):
    with table.open() as file:
        return [int(row["id"]) for row in csv.DictReader(file)]


@pytest.mark.dask
def test_both_engines_write_the_same_bytes(place, finished, same_results):
    here = place("dask", kind="local")
    command = [sys.executable, "-m", "volproc", "run", "workflow.toml", "--quiet"]
    done = subprocess.run(command, cwd=here.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "report: run/report.html" in done.stdout.splitlines()
    same_results(finished.run, here.run)


def test_the_run_leaves_what_it_says(finished):
    shape = open_volume(finished.run / "image.zarr").info.shape
    assert shape == (16, 300, 300)
    for name in ("prediction", "votes", "objects"):
        volume = open_volume(finished.run / f"{name}.zarr").info
        assert (volume.shape, volume.voxel_nm) == ((16, 120, 120), (50, 50, 50))
    labels = open_volume(finished.run / "objects.zarr")
    ids = ids_of(finished.run / "objects.csv")
    assert set(ids) == set(labels.read(labels.info.box).ravel().tolist()) - {0}
    assert len(ids) > 3
    scored = json.loads((finished.run / "scores.json").read_text())["scores"]
    assert {"prediction", "votes z", "votes y", "votes x"} <= {row["answer"] for row in scored}


def test_the_report_names_every_object(finished):
    page = (finished.run / "report.html").read_text()
    named = [int(number) for number in re.findall(r'<tr id="object-(\d+)"', page)]
    assert sorted(named) == sorted(ids_of(finished.run / "objects.csv"))


def test_the_report_is_written_again_by_its_own_command(finished):
    page = finished.run / "report.html"
    before = page.read_text()
    page.unlink()
    in_folder(finished, "report", "run")
    assert len(page.read_text()) == pytest.approx(len(before), rel=0.01)


def test_a_plan_says_what_a_run_costs_and_leaves_nothing(place, finished, capsys):
    here = place("plan")
    in_folder(here, "plan", "workflow.toml")
    said = capsys.readouterr().out
    assert [path.name for path in here.folder.iterdir()] == ["workflow.toml"]
    assert "times are stated once a run has left its rates" in said
    rows = {cells[1]: cells for cells in rows_of(said)}
    assert rows["predict"][2] == "9"
    assert rows["label"][2] == rows["relabel"][2] == "10"
    assert all("MB" in rows[step][6] for step in ("ingest", "predict"))
    assert float(rows["predict"][7]) > 0
    assert {cells[8] for cells in rows.values()} == {"-"}

    before = sorted(finished.folder.rglob("*"))
    in_folder(finished, "plan", "workflow.toml")
    said = capsys.readouterr().out
    assert sorted(finished.folder.rglob("*")) == before
    timed = {cells[1]: cells for cells in rows_of(said)}
    assert timed["predict"][8].endswith(" s")
    assert {row[3] for row in timed.values()} == {"0"}  # nothing is left
    costs = [[*row[:3], *row[4:8]] for row in rows.values()]
    assert [[*row[:3], *row[4:8]] for row in timed.values()] == costs


def rows_of(table):
    lines = [line for line in table.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_an_ome_zarr_and_a_tiff_of_it_end_alike(place, finished, scene):
    """The same voxels and the same table; only the record of where they came from differs."""
    here = place("from-zarr", source=scene.image)
    in_folder(here, "run", "workflow.toml", "--quiet")
    assert not (here.run / "image.zarr").exists()
    for name in ("prediction.zarr", "votes.zarr", "objects.zarr"):
        one, other = (open_volume(run / name) for run in (finished.run, here.run))
        assert (one.read(one.info.box) == other.read(other.info.box)).all()
    tables = [(run / "objects.csv").read_bytes() for run in (finished.run, here.run)]
    assert tables[0] == tables[1]


def test_stages_one_by_one_and_settings_on_the_command_line(place, finished, same_results):
    here = place("staged")
    for stages, there in [
        ("ingest", "image.zarr"),
        ("predict", "prediction.zarr"),
        ("evaluate,label,doubt", "objects.csv"),
        ("report", "report.html"),
    ]:
        assert not (here.run / there).exists()
        in_folder(here, "run", "workflow.toml", "--quiet", "--stages", stages)
        assert (here.run / there).exists()
    same_results(finished.run, here.run)
    in_folder(here, "run", "workflow.toml", "--quiet", "--set", "label.min_volume_um3=1000000")
    assert ids_of(here.run / "objects.csv") == []
    assert "object-1" not in (here.run / "report.html").read_text()


def test_votes_of_an_earlier_run_are_not_reported(place):
    here = place("votes")
    in_folder(here, "run", "workflow.toml", "--quiet")
    assert "Where the axes disagree" in (here.run / "report.html").read_text()
    in_folder(here, "run", "workflow.toml", "--quiet", "--set", "predict.votes=false")
    assert (here.run / "votes.zarr").exists()
    assert "Where the axes disagree" not in (here.run / "report.html").read_text()
