"""A fixed sample of the fault matrix of docs/reliability.md."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHAOS = ROOT / "scripts" / "chaos.py"


def test_no_cell_of_the_sample_is_of_a_third_kind(tmp_path):
    command = [sys.executable, str(CHAOS), "--sample"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    judged = re.search(r"(\d+) cells judged in \d+ s, 0 of a third kind", ended.stdout)
    assert int(judged[1]) >= 10, ended.stdout


def test_a_cell_that_is_none_is_refused(tmp_path):
    command = [sys.executable, str(CHAOS), "--cell", "edited input", "phantom", "local"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith("no such cell; rows: kill -9 of the client")
