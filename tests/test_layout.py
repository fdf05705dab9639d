"""The house rules that a program can hold: ARCHITECTURE.md's picture, sizes, silence, names."""

import re
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import grimp
import pytest

from volproc.workflow.registry import registered

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(p for p in (ROOT / "scripts").iterdir() if p.is_file() and not p.suffix)


def answer(*command: str) -> subprocess.CompletedProcess[str]:
    """What a tool of this environment says about the repository."""
    tool = Path(sys.executable).with_name(command[0])
    return subprocess.run([tool, *command[1:]], cwd=ROOT, capture_output=True, text=True)


def test_imports_go_down():
    """The picture in ARCHITECTURE.md is also a set of contracts in pyproject.toml."""
    found = answer("lint-imports", "--no-cache")
    assert found.returncode == 0, found.stdout + found.stderr


def test_stages_meet_on_disk_never_in_imports():
    """Those that are registered, and what else has a folder: no chain of imports joins two."""
    graph = grimp.build_graph("volproc", cache_dir=None)
    folders = {p.parent.name for p in (ROOT / "src/volproc/stages").glob("*/stage.py")}
    assert folders >= set(registered())
    chains = {
        (one, other): graph.find_shortest_chain(
            f"volproc.stages.{one}", f"volproc.stages.{other}", as_packages=True
        )
        for one, other in permutations(sorted(folders), 2)
    }
    assert {pair: chain for pair, chain in chains.items() if chain} == {}


def test_functions_are_short_and_imports_run_in_no_circle():
    found = answer("python", "scripts/measure.py")
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_long_function_and_a_circle_would_be_noticed(tmp_path):
    package = tmp_path / "src" / "volproc"
    package.mkdir(parents=True)
    for name, content in {
        "__init__": "",
        "one": "from volproc import two\n",
        "two": "from volproc import one\n\n\ndef long():\n"
        + "    pass\n" * 60
        + "\n\ndef f(): ...\n",
    }.items():
        (package / f"{name}.py").write_text(content)
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "measure.py"
    script.write_text((ROOT / "scripts" / "measure.py").read_text())
    found = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert found.returncode == 1
    assert "error: volproc/two.py:4 long has 61 lines" in found.stdout
    assert re.search("error: import cycle: .*volproc.one.*volproc.two", found.stdout)


def test_the_library_never_prints():
    found = answer("ruff", "check", "--no-cache", "--isolated", "--select", "T20", "src")
    assert found.returncode == 0, found.stdout


def test_no_file_is_called_after_nothing():
    vague = {"utils.py", "util.py", "helpers.py", "common.py", "misc.py", "base.py"}
    assert not [path for path in (ROOT / "src").rglob("*.py") if path.name in vague]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_under_12_lines_and_stops_at_the_first_error(path):
    lines = path.read_text().splitlines()
    assert len(lines) < 12
    assert "set -euo pipefail" in lines
    assert path.stat().st_mode & 0o111


def test_a_map_to_the_code_names_files_that_exist():
    """Every path of the tables "where do I change X"."""
    for page in ("ARCHITECTURE.md", "CONTRIBUTING.md"):
        named = re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:\.py|/))`", (ROOT / page).read_text())
        places = [ROOT / "src" / "volproc", ROOT]
        assert not [n for n in named if not any((place / n).exists() for place in places)]
