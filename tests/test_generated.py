"""Files that are made from the descriptions of stages are up to date."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_generated_files_are_up_to_date():
    command = [sys.executable, ROOT / "scripts/generate.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}: run scripts/generate"


def _checked(script, cwd):
    """The complaints of mypy --strict about a script, as a user runs it."""
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports", "silent", str(script)]
    environment = {**os.environ, "MYPYPATH": str(ROOT / "src")}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=cwd, env=environment
    )
    return [line for line in done.stdout.splitlines() if ": error:" in line]


def test_a_users_script_passes_a_strict_type_checker(tmp_path):
    assert _checked(Path(__file__).with_name("user_script.py"), tmp_path) == []


def test_a_type_checker_finds_what_a_user_gets_wrong(tmp_path):
    wrong = ['fusion="median"', "tile=3", 'fusoin="mean"', "overwrite=None", "votes=3"]
    calls = "".join(f'volproc.predict("a.zarr", "b.zarr", {one})\n' for one in wrong)
    script = tmp_path / "wrong.py"
    script.write_text(f"import volproc\n{calls}volproc.predcit\n")
    lines = {int(line.split(":")[1]) for line in _checked(script, tmp_path)}
    assert lines == set(range(2, len(wrong) + 3))
