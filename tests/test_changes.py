"""Every change note becomes a part of the changelog, and the citation names this version."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import volproc

ROOT = Path(__file__).parents[1]
NOTES = sorted(p for p in (ROOT / "changes").glob("*.md") if p.stem not in ("README", "template"))


@pytest.fixture(scope="module")
def drafted():
    """What towncrier would write of the notes."""
    command = [Path(sys.executable).with_name("towncrier"), "build", "--draft"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.mark.parametrize("note", NOTES, ids=lambda note: note.name)
def test_a_note_is_in_the_changelog(note, drafted):
    assert note.read_text().strip().splitlines()[0] in drafted, "NUMBER-NAME.KIND.md is its name"


def test_the_changelog_has_this_version():
    assert f"# volproc {volproc.__version__} (" in (ROOT / "CHANGELOG.md").read_text()


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == volproc.__version__
    assert cited["license"] == "BSD-3-Clause"
