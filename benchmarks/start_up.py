"""Seconds that commands take before they do anything: planning, and a run that is finished.

    python benchmarks/start_up.py FOLDER [--slowest 15]

FOLDER gets a small phantom and a run of it. CPU seconds, the lowest of five, since a machine that
others use makes the clock say anything; then the packages that planning imports, the slowest first.
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
from pathlib import Path

WORKFLOW = """
[run]
source = "phantom.zarr"
folder = "run"
[cluster]
kind = "serial"
"""
TIMES = 5
IMPORTED = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|\s+(\S+)")


def cpu_seconds(folder: Path, *command: str) -> float:
    """User and system time of a command in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def slowest_imports(folder: Path, count: int) -> list[tuple[float, str]]:
    """Seconds of the packages that planning imports, with all they import in turn."""
    command = [sys.executable, "-X", "importtime", "-m", "volproc", "plan", "workflow.toml"]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stderr
    found = [(int(total) / 1e6, name) for _, total, name in IMPORTED.findall(said)]
    return sorted((one for one in found if "." not in one[1]), reverse=True)[:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slowest", type=int, default=15)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    (asked.folder / "workflow.toml").write_text(WORKFLOW)
    if not (asked.folder / "phantom.zarr").exists():
        shape = ("--shape", "48", "200", "200")
        cpu_seconds(asked.folder, "-m", "volproc", "phantom", "phantom.zarr", *shape)
    cases = {
        "python": ("-c", ""),
        "import volproc.cli": ("-c", "import volproc.cli"),
        "import torch": ("-c", "import torch"),
        "volproc plan": ("-m", "volproc", "plan", "workflow.toml"),
        "volproc run, the first time": ("-m", "volproc", "run", "workflow.toml"),
        "volproc run, finished": ("-m", "volproc", "run", "workflow.toml"),
        "volproc status": ("-m", "volproc", "status", "run"),
    }
    for name, command in cases.items():
        times = 1 if "first" in name else TIMES
        seconds = min(cpu_seconds(asked.folder, *command) for _ in range(times))
        print(f"{name:28} {seconds:6.2f} CPU s", flush=True)
    for seconds, name in slowest_imports(asked.folder, asked.slowest):
        print(f"  {name:26} {seconds:6.2f} s")


if __name__ == "__main__":
    main()
