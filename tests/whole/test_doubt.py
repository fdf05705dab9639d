"""A run from image to doubt: what people open has the columns, and the record stays true."""

import csv
import json
import shutil

import tifffile

import volproc
from volproc.stages.doubt.object_features import REASONS
from volproc.workflow.workflow_file import Workflow


def run_of(tmp_path, tiny_model, noise, **tables):
    tifffile.imwrite(tmp_path / "image.tif", noise)
    described = {
        "run": {"source": str(tmp_path / "image.tif"), "folder": str(tmp_path / "run")},
        "cluster": {"kind": "serial"},
        "ingest": {"voxel_nm": [50, 50, 50]},
        "predict": {"model": str(tiny_model), "tile": [40, 40, 40]},
        "label": {"min_volume_um3": 0.001, "threshold": 0.4},
        "report": {"slices": 1},
    }
    for name, table in tables.items():
        described[name] = {**described.get(name, {}), **table}
    workflow = Workflow.model_validate(described)
    volproc.run(workflow)
    return workflow


def test_a_run_ends_with_what_to_doubt(tmp_path, tiny_model, noise):
    workflow = run_of(tmp_path, tiny_model, noise)
    run = tmp_path / "run"
    with open(run / "objects.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert {row["reason"] for row in rows} <= {*REASONS.values(), "nothing stands out"}
    said = json.loads((run / "doubt.json").read_text())
    worst = min(rows, key=lambda row: float(row["probability_right"]))
    first = {row["id"]: row for row in rows}[str(said["most_doubtful"][0])]
    assert first["probability_right"] == worst["probability_right"]
    (note,) = said["notes"]
    assert "a general one judges" in note
    assert said["model"]["axes"] == 3  # by the votes of all axes, not by form alone
    made = json.loads((run / "doubt.json.volproc" / "made.json").read_text())
    assert made["recipe"]["options"]["threshold"] == 0.4
    assert all(one.state == "done" for one in volproc.status(run))
    before = (run / "objects.csv").read_bytes()
    volproc.run(workflow)
    assert (run / "objects.csv").read_bytes() == before


def test_a_run_without_objects_has_nothing_to_doubt(tmp_path, tiny_model, noise):
    run_of(tmp_path, tiny_model, noise, label={"min_volume_um3": 1e6})
    said = json.loads((tmp_path / "run" / "doubt.json").read_text())
    assert said["objects"] == 0
    assert said["expected_precision"]["value"] is None
    header = (tmp_path / "run" / "objects.csv").read_text().splitlines()[0]
    assert header.endswith("probability_right,reason")


def test_the_report_of_a_run_made_before_there_was_doubt_is_no_unfinished_one(
    volproc, tmp_path, tiny_model, noise
):
    run_of(tmp_path, tiny_model, noise)
    run = tmp_path / "run"
    for left in ("doubt.json", "doubt.csv"):
        (run / left).unlink()
        shutil.rmtree(run / f"{left}.volproc", ignore_errors=True)
    settings = run / "workflow.json"
    told = json.loads(settings.read_text())
    del told["doubt"]
    settings.write_text(json.dumps(told))
    assert volproc("report", run)[0] == 0
    page = (run / "report.html").read_text()
    assert "This run was made before volproc had doubt; run it again to add it." in page
    assert "This run is not finished" not in page
