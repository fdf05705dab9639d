"""A run: planned before the first byte, told what is remade and why, mixed with nothing."""

import json
import os
import shutil

import numpy as np
import pytest
import tifffile
import zarr

import volproc
from volproc.engine.events import BlockDone, Note
from volproc.errors import ConfigError, ModelError, OutputError, VolprocError
from volproc.volume.store import open_volume
from volproc.workflow import found, report, running
from volproc.workflow.workflow_file import Workflow


@pytest.fixture
def workflow(tmp_path, tiny_model, noise):
    """workflow(table={...}): a run from a TIFF stack to objects and their numbers."""
    tifffile.imwrite(tmp_path / "image.tif", noise)

    def made(**tables):
        described = {
            "run": {"source": str(tmp_path / "image.tif"), "folder": str(tmp_path / "run")},
            "cluster": {"kind": "serial"},
            "ingest": {"voxel_nm": [50, 50, 50]},
            "predict": {"model": str(tiny_model), "threshold": 0.3, "tile": [40, 40, 40]},
            "label": {"min_volume_um3": 0.001},
            "measure": {},
            "report": {"slices": 1},
        }
        for name, table in tables.items():
            described[name] = {**described.get(name, {}), **table}
        return Workflow.model_validate(described)

    return made


def run(workflow, **how):
    """The notes of a run, and the steps of which blocks were done."""
    events = []
    volproc.run(workflow, watchers=(events.append,), **how)
    notes = [event.text for event in events if isinstance(event, Note)]
    return notes, {event.step for event in events if isinstance(event, BlockDone)}


def states(folder):
    return {one.name: (one.state, one.detail) for one in volproc.status(folder)}


def test_a_finished_run_has_nothing_to_do(workflow, tmp_path):
    run(workflow())
    assert {state for state, _ in states(tmp_path / "run").values()} == {"done"}
    dates = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*") if p.is_file()}
    (note,), steps = run(workflow())
    assert note.startswith("nothing to do")
    assert steps == set()
    assert dates == {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*") if p.is_file()}
    planned = [step for _, steps in volproc.plan(workflow()) for step in steps]
    assert all(step.recorded == len(step.blocks) for step in planned)


def test_a_run_ends_with_what_it_found_and_what_to_open(workflow, tmp_path, save_volume, noise):
    truth = save_volume("truth.zarr", (noise > 128).astype(np.uint8), kind="labels")
    options = workflow(evaluate={"ground_truth": truth.info.url})
    assert found(options) == ()
    run(options)
    lines = found(options)
    here = tmp_path / "run"
    objects = len((here / "objects.csv").read_text().splitlines()) - 1
    assert lines[0].startswith(f"{objects} objects; Dice 0.")
    assert lines[1:] == (
        f"table: {here}/objects.csv",
        f"report: {here}/report.html",
        f"look at it: volproc view {here}",
    )
    (note,), _ = run(options)
    assert note.startswith("nothing to do")
    assert found(options) == lines


def test_a_run_without_objects_says_why(workflow, tmp_path, tiny_model):
    options = workflow(label={"threshold": 1.0, "min_volume_um3": 100.0})
    run(options)
    first = found(options)[0]
    assert first.startswith("no objects: the largest probability is 0.")
    assert ", below the threshold of 1; the field of 31.5 um³ is smaller than one object" in first
    assert "at voxels of 50 x 50 x 50 nm: does the image show that" in first
    assert "no objects: the largest" in (tmp_path / "run" / "report.html").read_text()


def test_what_some_stages_did_not_make_is_not_told(workflow, tmp_path):
    run(workflow())
    run(workflow(predict={"threshold": 0.9}), stages=("predict",))
    (_, viewer) = found(workflow())
    assert viewer == f"look at it: volproc view {tmp_path / 'run'}"


def test_whatever_changes_there_is_something_to_do(workflow, tmp_path):
    run(workflow())
    (tmp_path / "run" / "objects.csv").unlink()
    notes, _ = run(workflow())
    assert not any("nothing to do" in note for note in notes)
    assert (tmp_path / "run" / "objects.csv").exists()
    notes, _ = run(workflow(report={"title": "another"}))
    assert not any("nothing to do" in note for note in notes)


def test_what_is_made_anew_is_told_with_the_reason_and_nothing_old_is_left(workflow, tmp_path):
    run(workflow())
    first = open_volume(tmp_path / "run" / "objects.zarr").fingerprint
    notes, _ = run(workflow(predict={"threshold": 0.31}))
    assert notes[0] == "predict is remade: threshold: 0.3 -> 0.31"
    assert notes[1] == "label is remade: its mask changed"
    assert "doubt is remade: its labels changed; its votes changed" in notes
    assert "measure is remade: its labels changed; its votes changed" in notes
    assert len(notes) == 4  # ingest is left alone
    assert open_volume(tmp_path / "run" / "objects.zarr").fingerprint != first


def test_some_stages_alone_leave_the_others_stale_and_the_report_without_them(workflow, tmp_path):
    run(workflow())
    notes, _ = run(workflow(predict={"threshold": 0.31}), stages=("predict", "report"))
    assert notes == ["predict is remade: threshold: 0.3 -> 0.31"]
    found = states(tmp_path / "run")
    assert found["predict"][0] == "done"
    assert found["label"] == ("stale", "its mask changed")
    assert found["measure"][0] == "stale"
    page = (tmp_path / "run" / "report.html").read_text()
    assert "label: its mask changed" in page
    run(workflow(predict={"threshold": 0.31}))
    assert {state for state, _ in states(tmp_path / "run").values()} == {"done"}
    assert "its mask changed" not in (tmp_path / "run" / "report.html").read_text()


def test_edited_objects_are_measured_as_they_are_and_kept(workflow, tmp_path):
    run(workflow())
    url = str(tmp_path / "run" / "objects.zarr")
    before = json.loads((tmp_path / "run" / "measure" / "made.json").read_text())["digest"]
    array = zarr.open_group(url, mode="r+")["0"]
    values = array[...]
    values[values == 1] = 0
    array[...] = values
    notes, steps = run(workflow())
    assert "measure is remade: its labels changed" in notes
    assert "relabel" not in steps
    assert 1 not in np.unique(open_volume(url).read(open_volume(url).info.box))
    after = json.loads((tmp_path / "run" / "measure" / "made.json").read_text())["digest"]
    assert after != before
    assert "edited since" in states(tmp_path / "run")["label"][1]
    with pytest.raises(OutputError, match=r"objects.zarr was changed after .* --redo label"):
        run(workflow(predict={"threshold": 0.31}))
    assert 1 not in np.unique(open_volume(url).read(open_volume(url).info.box))
    run(workflow(), redo=("label",))
    assert 1 in np.unique(open_volume(url).read(open_volume(url).info.box))


def test_results_of_an_earlier_volproc_are_shown_and_not_replaced_unasked(workflow, tmp_path):
    run(workflow())
    for name in ("image", "prediction", "votes", "objects"):
        group = zarr.open_group(str(tmp_path / "run" / f"{name}.zarr"), mode="r+")
        made = dict(group.attrs["volproc"])
        del made["recipe"]  # earlier versions kept none
        group.attrs["volproc"] = made
    before = (tmp_path / "run" / "report.html").read_text()
    run(workflow(), stages=("report",))
    assert (tmp_path / "run" / "report.html").read_text().count("<tr") == before.count("<tr")
    with pytest.raises(OutputError, match=r"an older volproc made it .* --redo ingest"):
        run(workflow())


def test_a_stage_is_redone_on_request_and_ends_the_same(workflow, tmp_path):
    run(workflow())
    url = tmp_path / "run" / "objects.zarr"
    before = open_volume(url).fingerprint
    notes, steps = run(workflow(), redo=("label",))
    assert notes == ["label is remade, as --redo says"]
    assert {"label", "relabel"} <= steps
    assert "predict" not in steps
    assert open_volume(url).fingerprint == before
    with pytest.raises(ConfigError, match="--redo train: no such stage"):
        run(workflow(), redo=("train",))


def test_all_is_planned_before_the_first_byte(workflow, tmp_path, monkeypatch):
    with pytest.raises(ModelError):
        run(workflow(predict={"model": str(tmp_path / "nothing")}))
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(VolprocError, match="parquet"):
        run(workflow(measure={"parquet": True}))
    assert not (tmp_path / "run").exists()


def test_a_disk_that_is_too_full_is_noticed_before_the_first_byte(workflow, tmp_path, monkeypatch):
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: full)
    with pytest.raises(OutputError, match=r"will take .* and 1 kB are free on that disk"):
        run(workflow())
    assert not (tmp_path / "run").exists()


def test_an_interrupted_run_says_how_far_it_is(workflow, tmp_path):
    class Stop(Exception):
        pass

    seen = []

    def stop(event):
        if isinstance(event, BlockDone) and event.step == "predict" and event.done == 2:
            seen.append(running(tmp_path / "run"))
            raise Stop

    cut = workflow(predict={"block": [40, 40, 40]})
    with pytest.raises(Stop):
        volproc.run(cut, watchers=(stop,))
    assert f"process {os.getpid()}" in seen[0]
    assert running(tmp_path / "run") == ""
    found = states(tmp_path / "run")
    assert found["ingest"] == ("done", "")
    assert found["predict"][0] == "begun"
    assert "predict: 2 of" in found["predict"][1]
    assert found["label"][0] == "missing"
    (predict, *_) = dict(volproc.plan(cut))["predict"]
    assert predict.recorded == 2


def test_several_runs_are_reported_each_and_on_one_page(workflow, tmp_path):
    for name in ("one", "two"):
        run(workflow(run={"folder": str(tmp_path / name)}), stages=("ingest", "predict", "label"))
    folders = [tmp_path / "one", tmp_path / "two"]
    with pytest.raises(ConfigError, match=r"--out all\.txt is no page; end its name in \.html"):
        report(folders, out="all.txt")
    pages = report(folders, out=tmp_path / "all.html")
    assert [page.name for page in pages] == ["report.html", "report.html", "all.html"]
    told = json.loads((tmp_path / "all.json").read_text())
    assert [one["href"] for one in told["runs"]] == ["one/report.html", "two/report.html"]
    assert all(one["left"] == ["doubt", "measure"] for one in told["runs"])
    page = (tmp_path / "one" / "report.html").read_text()
    assert f"volproc view {tmp_path}/one" in page
    assert 'href="objects.csv"' in page
    assert "<b>measure</b>: not begun" in page
