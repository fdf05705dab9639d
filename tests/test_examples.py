"""The examples parse, and say what their comments say."""

import json
import re
from pathlib import Path

import pytest

from volproc import load_workflow
from volproc.config.options import Options
from volproc.workflow.workflow_file import Workflow

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.toml")), ids=lambda path: path.name)
def test_an_example_is_a_workflow(path):
    load_workflow(path, environment={})


def test_the_demo_works_on_the_volume_that_its_script_makes():
    workflow = load_workflow(EXAMPLES / "demo.toml", environment={})
    script = (EXAMPLES.parent / "scripts" / "demo").read_text()
    made = re.findall(r"volproc phantom (\S+)", script)
    assert [Path(workflow.run.source).resolve()] == [(EXAMPLES.parent / m).resolve() for m in made]
    assert Path(workflow.evaluate.ground_truth).parts[-3:] == ("phantom.zarr", "labels", "nuclei")


def test_the_loop_works_on_the_volume_that_its_comment_makes():
    text = (EXAMPLES / "crowd.toml").read_text()
    (made,) = re.findall(r"#     volproc phantom (\S+)", text)
    workflow = load_workflow(EXAMPLES / "crowd.toml", environment={})
    image = (EXAMPLES.parent / made).resolve()
    assert Path(workflow.run.source).resolve() == image
    for truth in (workflow.crowd.ground_truth, workflow.evaluate.ground_truth):
        assert Path(truth).resolve() == image / "labels" / "nuclei"
    assert workflow.crowd.slices[1] == workflow.evaluate.slices[0]


def test_the_commented_options_of_own_data_are_options_with_allowed_values(tmp_path):
    text = (EXAMPLES / "own-data.toml").read_text()
    path = tmp_path / "own-data.toml"
    path.write_text(re.sub(r"(?m)^# (\w+ = |\[)", r"\1", text))
    workflow = load_workflow(path, environment={})
    commented = re.findall(r"(?m)^# (\w+) = ", text)
    assert len(commented) >= 10
    assert set(commented) <= set(_names(workflow))


def _names(workflow: Workflow) -> list[str]:
    tables = [value for _, value in workflow if isinstance(value, Options)]
    return [name for table in tables for name in type(table).model_fields]


def run_notebook(name):
    """The names that are left after all cells of a notebook, run in the folder that is open."""
    names = {"__name__": "notebook"}
    for cell in json.loads((EXAMPLES / name).read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), name, "exec"), names)
    return names


def test_the_notebook_of_arrays_runs_from_its_first_cell_to_its_last(tmp_path, monkeypatch):
    pytest.importorskip("dask_image")
    monkeypatch.chdir(tmp_path)
    names = run_notebook("dask_arrays.ipynb")
    assert names["labels"].info.provenance["finished"]
    assert len(names["ids"]) == len(names["sizes"]) > 0


def test_the_notebook_of_nuclei_runs_and_ranks_what_it_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_notebook("nuclei.ipynb")
    said = [float(row["probability_right"]) for row in names["worst"]]
    assert said == sorted(said)
    assert {row["id"] for row in names["worst"]} == {row["id"] for row in names["table"]}
    assert max(map(names["overlap"], names["worst"])) == names["overlap"](names["worst"][-1])


def test_notebooks_hold_small_pictures_and_no_errors():
    for path in sorted(EXAMPLES.glob("*.ipynb")):
        assert len(path.read_bytes()) < 400_000, path.name
        for cell in json.loads(path.read_text())["cells"]:
            kinds = {one["output_type"] for one in cell.get("outputs", ())}
            assert kinds <= {"execute_result", "stream"}, path.name
