"""What starts without torch: in a process of its own, as this one has it long since."""

import subprocess
import sys
from types import ModuleType

import pytest

from volproc.lazy import lazy

CALL = """
import sys
from volproc import cli
sys.argv = ["volproc", *sys.argv[1:]]
try:
    cli.main()
except SystemExit as end:
    assert not end.code, end.code
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_a_module_is_imported_when_something_of_it_is_used():
    late = lazy("colorsys")
    sys.modules.pop("colorsys", None)
    assert isinstance(late, ModuleType)
    assert "colorsys" not in sys.modules
    assert late.rgb_to_hsv(0, 0, 0) == (0, 0, 0)
    assert "colorsys" in sys.modules


def test_a_name_that_is_not_there_is_an_error():
    with pytest.raises(AttributeError):
        _ = lazy("math").nothing


@pytest.fixture
def imported(tmp_path):
    """imported("plan", "w.toml"): the packages that a command imported."""

    def command(*arguments):
        made = [sys.executable, "-c", CALL, *arguments]
        said = subprocess.run(made, cwd=tmp_path, capture_output=True, text=True, check=True)
        return {*said.stdout.splitlines()[-1].split()}

    return command


@pytest.fixture
def workflow(tmp_path, save_volume, noise, tiny_model):
    """A workflow of three stages: its file."""
    save_volume("image.zarr", noise)
    file = tmp_path / "workflow.toml"
    file.write_text(
        f"""
        [run]
        source = "image.zarr"
        folder = "run"
        [cluster]
        kind = "serial"
        [predict]
        model = "{tiny_model}"
        """
    )
    return file


def test_planning_and_a_finished_run_need_no_torch(workflow, imported):
    assert "torch" not in imported("plan", workflow.name)
    assert "torch" in imported("run", workflow.name)
    again = imported("run", workflow.name)
    assert "torch" not in again
    assert "distributed" not in again
    assert "torch" not in imported("status", "run")
