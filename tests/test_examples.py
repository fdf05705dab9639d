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


def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path, monkeypatch):
    pytest.importorskip("dask_image")
    notebook = json.loads((EXAMPLES / "dask_arrays.ipynb").read_text())
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "notebook"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
            exec(compile("".join(cell["source"]), "dask_arrays.ipynb", "exec"), names)
    assert names["labels"].info.provenance["finished"]
    assert len(names["ids"]) == len(names["sizes"]) > 0
