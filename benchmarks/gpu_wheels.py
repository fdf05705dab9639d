"""Fill a folder with the wheels that gpu_session.py installs where nothing can be fetched.

    python benchmarks/gpu_wheels.py WHEELS

What volproc and its tests need, as constraints.txt pins it, for Python 3.12 on Linux (x86-64), but
what a machine with torch, numba and scikit-image has (--without tells what else). Under 64 MiB
together with the project's own files, or it says so.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
TESTING = ("hypothesis", "pytest", "pytest-benchmark", "pytest-timeout")
THERE = ("torch", "numpy", "scipy", "numba", "llvmlite", "scikit-image", "h5py", "pillow")
THERE += ("imageio", "networkx")
"""Large packages that a machine for PyTorch has."""
MAX_BYTES = 64 * 2**20
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_24", "manylinux_2_17")
PLATFORMS += ("manylinux2014", "manylinux1")


def requirements() -> list[str]:
    """What volproc and its tests need, torch included."""
    with (PROJECT / "pyproject.toml").open("rb") as file:
        return [*tomllib.load(file)["project"]["dependencies"], *TESTING]


def named(requirement: str) -> str:
    """The name of what is required, or of a wheel, written as indexes do."""
    found = re.match(r"[A-Za-z0-9._-]+?(?=$|[<>=!~;\[ ])", requirement)
    return re.sub(r"[-_.]+", "-", found.group() if found else requirement).lower()


def tree_bytes() -> int:
    """Of the project's files, which travel with the wheels."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    paths = (PROJECT / name for name in listed.split("\0") if name)
    return sum(path.stat().st_size for path in paths if path.is_file())


def fill(folder: Path, *, python: str, without: Sequence[str]) -> None:
    """Download the wheels; SystemExit if they are too many bytes."""
    there = {named(name) for name in without}
    number = python.replace(".", "")
    how = ["--only-binary=:all:", "--python-version", python, "--implementation", "cp"]
    how += ["--abi", f"cp{number}", "--abi", "abi3", "--abi", "none"]
    for platform in (*(f"{name}_x86_64" for name in PLATFORMS), "any"):
        how += ["--platform", platform]
    wanted = [one for one in requirements() if named(one) != "torch"]
    pip = [sys.executable, "-m", "pip"]
    pins = ["-c", str(PROJECT / "constraints.txt")]
    words = ["install", "--dry-run", "--quiet", "--ignore-installed", "--report", "-"]
    words += ["--target", str(folder / "none"), *how, *pins, *wanted]
    answer = subprocess.run([*pip, *words], capture_output=True, text=True)
    if answer.returncode:
        raise SystemExit(answer.stderr)
    found = [one["metadata"] for one in json.loads(answer.stdout)["install"]]
    exact = [f"{one['name']}=={one['version']}" for one in found if named(one["name"]) not in there]
    shutil.rmtree(folder, ignore_errors=True)
    words = ["download", "--quiet", "--no-deps", "--dest", str(folder), *how, *exact]
    subprocess.run([*pip, *words], check=True)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{len(exact)} wheels for Python {python}, {size / 2**20:.1f} MiB in {folder}", end=", ")
    tree = tree_bytes()
    print(f"{(size + tree) / 2**20:.1f} MiB with the project")
    if size + tree > MAX_BYTES:
        raise SystemExit(f"more than {MAX_BYTES / 2**20:.0f} MiB: name more with --without")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheels", type=Path)
    parser.add_argument("--python", default="3.12", help="of the machine with the GPU")
    parser.add_argument("--without", nargs="*", default=THERE, help="what that machine has")
    given = parser.parse_args()
    fill(given.wheels, python=given.python, without=given.without)


if __name__ == "__main__":
    main()
