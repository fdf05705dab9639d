import json
import re
from dataclasses import fields
from pathlib import Path

from tests.stages.report.test_report_page import page

from volproc.stages.report.key_figures import Figures
from volproc.stages.report.page_twin import to_json, twin
from volproc.stages.report.report_page import ObjectRow, ObjectTable, Page
from volproc.stages.report.run_state import RunState, StageState
from volproc.stages.report.step_times import StepTime

DOCS = Path(__file__).parents[3] / "docs" / "report.md"


def documented():
    """Keys of the twin, and for each the words in code that its line has."""
    lines = re.findall(r"(?m)^\| ((?:`[a-z_]+`(?:, )?)+) \| (.*) \|$", DOCS.read_text())
    return {key: more for keys, more in lines for key in re.findall(r"`(\w+)`", keys)}


def test_every_key_is_documented_and_no_other():
    assert set(twin(page())) == set(documented())


def test_keys_of_the_parts_are_documented():
    for key, kind in (("figures", Figures), ("steps", StepTime), ("objects", ObjectTable)):
        named = set(re.findall(r"`(\w+)`", documented()[key]))
        assert {one.name for one in fields(kind)} <= named
    kept = {one.name for one in fields(ObjectRow) if not one.metadata}
    assert kept <= set(re.findall(r"`(\w+)`", documented()["objects"]))


def test_numbers_are_as_they_are_and_pictures_are_left_out():
    row = ObjectRow(3, "#ff0000", 1.5, (1.0, 2.0, 3.0), (1.0, 1.0, 1.0), True, pictures=("data:",))
    steps = (StepTime("predict", seconds=float("nan")),)
    state = RunState((StageState("label", "begun"),), "disk")
    found = twin(page(objects=ObjectTable((row,), 1, "objects.csv", 1.5), steps=steps, state=state))
    assert "data:" not in to_json(found)
    told = json.loads(to_json(found))
    assert told["objects"]["rows"][0]["centroid_um"] == [1.0, 2.0, 3.0]
    assert told["steps"][0]["seconds"] is None
    assert told["state"] == {
        "stages": [{"name": "label", "state": "begun", "why": ""}],
        "failure": "disk",
    }
    assert {one.name for one in fields(Page)} - set(told) == {"agreements", "turntable"}
