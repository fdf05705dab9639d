"""Files that are made from the descriptions of stages are up to date."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_generated_files_are_up_to_date():
    command = [sys.executable, ROOT / "scripts/generate.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}: run scripts/generate"


WRONG = ('fusion="median"', "tile=3", 'fusoin="mean"', "overwrite=None", "votes=3")


@pytest.fixture(scope="module")
def complaints(tmp_path_factory):
    """What mypy --strict says of two scripts, as a user runs it, by their names."""
    folder = tmp_path_factory.mktemp("user")
    calls = "".join(f'volproc.predict("a.zarr", "b.zarr", {one})\n' for one in WRONG)
    (folder / "wrong.py").write_text(f"import volproc\n{calls}volproc.predcit\n")
    scripts = [str(Path(__file__).with_name("user_script.py")), "wrong.py"]
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports", "silent", *scripts]
    environment = {**os.environ, "MYPYPATH": str(ROOT / "src")}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    found = [line.split(":") for line in done.stdout.splitlines() if ": error:" in line]
    return {Path(script).name: [f for f in found if f[0] == script] for script in scripts}, found


def test_a_users_script_passes_a_strict_type_checker(complaints):
    of_each, everything = complaints
    assert of_each["user_script.py"] == []
    assert everything == of_each["wrong.py"]


def test_a_type_checker_finds_what_a_user_gets_wrong(complaints):
    lines = {int(number) for _, number, *_ in complaints[0]["wrong.py"]}
    assert lines == set(range(2, len(WRONG) + 3))
