"""All that is to be run on a machine with a GPU, in one command, also where nothing can be fetched.

    python benchmarks/gpu_session.py wheels WHEELS          before, where packages can be fetched
    python benchmarks/gpu_session.py run WHEELS WORK OUT    there; again: goes on with what is left

`wheels` fills a folder with what volproc and its tests need but a machine with torch, numba and
scikit-image lacks (--without tells what else it has); under 64 MiB, or it says so.

`run` makes WORK/venv, which sees the packages of the Python it is run by and takes the rest from
WHEELS, and does the parts below one after the other, each within its time; a part that fails or is
late is noted, and the next begins. Everything is told in OUT: summary.md, logs.txt, dmon.txt (what
the GPU did, second by second). --limit ends it after so many seconds; the same command goes on.
What follows `--` goes to full_fov.py and profile_block.py:

    python benchmarks/gpu_session.py run WHEELS WORK OUT -- --shape 64 512 512     to try it out
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
TESTING = ("hypothesis", "pytest", "pytest-benchmark", "pytest-timeout")
THERE = ("torch", "numpy", "scipy", "numba", "llvmlite", "scikit-image", "h5py", "pillow")
THERE += ("imageio", "networkx")
"""Large packages that a machine for PyTorch has."""
MOST_BYTES = 64 * 2**20
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_24", "manylinux_2_17")
PLATFORMS += ("manylinux2014", "manylinux1")
TOLD_LINES = 60


@dataclass(frozen=True)
class Part:
    """A command of the session: what WORK/venv's Python is given, and for how many seconds."""

    name: str
    words: tuple[str, ...]
    limit_s: int


def parts(work: Path, more: Sequence[str]) -> tuple[Part, ...]:
    """In the order of what is wanted first. What is at native sampling is a part, extrapolated."""

    def fov(name: str, limit_s: int, *words: str) -> Part:
        return Part(name, (str(HERE / "full_fov.py"), str(work / "fov"), *words, *more), limit_s)

    def profile(model: str) -> Part:
        words = (str(HERE / "profile_block.py"), str(work / "profile"), model, *more)
        return Part(f"profile-{model}", words, 240)

    tests = ("-m", "pytest", "-W", "default", "-p", "no:cacheprovider", "-m", "gpu", "tests/gpu")
    few = ("--fraction", "0.1", "--native")
    return (
        Part("machine", ("-c", VERSIONS), 60),
        Part("tests", (*tests, "-rs", "--basetemp", str(work / "tests")), 240),
        profile("nuclei-50nm"),
        profile("etchacell"),
        fov("nuclei", 540, "--models", "nuclei-50nm"),
        fov("etchacell", 300, "--models", "etchacell"),
        fov("compiled", 540, "--compiled"),
        fov("native", 540, *few),
        fov("native-compiled", 540, *few, "--compiled"),
    )


VERSIONS = """
import os, subprocess, sys
from importlib.metadata import version
import torch
print("Python", sys.version.split()[0], "on", os.cpu_count(), "cores")
for name in ("torch", "numpy", "numba", "zarr", "dask", "distributed", "imagecodecs"):
    print(name, version(name))
print("CUDA", torch.version.cuda, [torch.cuda.get_device_name(n)
      for n in range(torch.cuda.device_count())])
print(subprocess.run(["df", "-h", "."], capture_output=True, text=True).stdout)
if torch.cuda.is_available():
    print(subprocess.run(["nvidia-smi"], capture_output=True, text=True).stdout)
"""


def requirements() -> list[str]:
    """What volproc and its tests need, torch included."""
    with (PROJECT / "pyproject.toml").open("rb") as file:
        return [*tomllib.load(file)["project"]["dependencies"], *TESTING]


def named(requirement: str) -> str:
    """The name of what is required, or of a wheel, written as indexes do."""
    found = re.match(r"[A-Za-z0-9._-]+?(?=$|[<>=!~;\[ ])", requirement)
    return re.sub(r"[-_.]+", "-", found.group() if found else requirement).lower()


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
    print(f"{len(exact)} wheels for Python {python}, {size / 2**20:.1f} MiB in {folder}")
    if size > MOST_BYTES:
        raise SystemExit(f"more than {MOST_BYTES / 2**20:.0f} MiB: name more with --without")


def environment(wheels: Path, work: Path) -> Path:
    """The Python of an environment with volproc, what this Python has, and the wheels."""
    place = work / "venv"
    python = place / "bin" / "python"
    venv.create(place, clear=True)
    # not system_site_packages: those are not this Python's where it is of an environment itself
    seen = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (own,) = place.glob("lib/python*/site-packages")
    (own / "there.pth").write_text("\n".join([str(PROJECT / "src"), *seen]))
    words = ["-m", "pip", "install", "--quiet", "--no-index", "--find-links", str(wheels)]
    words += ["--disable-pip-version-check", *requirements()]
    subprocess.run([str(python), *words], check=True)
    return python


def do(part: Part, python: Path, results: Path, *, limit_s: float) -> None:
    """Run a part and note how it ended; whatever it has started ends with it."""
    began = time.monotonic()
    with (results / f"{part.name}.log").open("w") as log:
        process = subprocess.Popen(
            [str(python), *part.words],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=PROJECT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        try:
            code = process.wait(min(part.limit_s, limit_s))
            ended = "done" if code == 0 else f"failed ({code})"
        except subprocess.TimeoutExpired:
            ended = "out of time"
        finally:
            _end(process)
    noted = {"ended": ended, "seconds": round(time.monotonic() - began, 1)}
    (results / f"{part.name}.json").write_text(json.dumps(noted))
    print(f"{part.name}: {ended}, {noted['seconds']} s", flush=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def tell(all_parts: Sequence[Part], results: Path, out: Path) -> None:
    """Gather what there is by now in `out`: few files, whatever the number of parts."""
    lines = ["| part | ended | s |", "|---|---|---|"]
    logs, ends = [], []
    for part in all_parts:
        note, log = results / f"{part.name}.json", results / f"{part.name}.log"
        if not note.exists():
            lines.append(f"| {part.name} | not started | |")
            continue
        said = log.read_text(errors="replace")
        found = json.loads(note.read_text())
        lines.append(f"| {part.name} | {found['ended']} | {found['seconds']} |")
        logs.append(f"{'=' * 20} {part.name}\n{said}")
        tail = "\n".join(said.splitlines()[-TOLD_LINES:])
        ends.append(f"# {part.name}\n\n```\n{tail}\n```")
    out.mkdir(parents=True, exist_ok=True)
    (out / "summary.md").write_text("\n".join([*lines, "", *ends, ""]))
    (out / "logs.txt").write_text("\n".join(logs))
    if (results / "dmon.txt").exists():
        shutil.copy(results / "dmon.txt", out)


def watched(results: Path) -> subprocess.Popen[bytes] | None:
    """What the GPU does from now on, into dmon.txt; None where nobody can tell."""
    if not shutil.which("nvidia-smi"):
        return None
    with (results / "dmon.txt").open("ab") as log:
        words = ["nvidia-smi", "dmon", "-s", "um", "-o", "T", "-d", "1"]
        return subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def run(given: argparse.Namespace) -> None:
    end = time.monotonic() + given.limit
    results = given.work / "results"
    results.mkdir(parents=True, exist_ok=True)
    all_parts = parts(given.work, given.more)
    python = given.work / "venv" / "bin" / "python"
    if not (results / "environment").exists():
        python = environment(given.wheels, given.work)
        (results / "environment").touch()
    watching = watched(results)
    try:
        for part in all_parts:
            chosen = part.name in given.parts
            done = (results / f"{part.name}.json").exists()
            if (given.parts and not chosen) or (done and not chosen):
                continue
            if end - time.monotonic() < given.least:
                break
            do(part, python, results, limit_s=end - time.monotonic())
            tell(all_parts, results, given.out)
    finally:
        if watching:
            _end(watching)
        tell(all_parts, results, given.out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    wheels = commands.add_parser("wheels")
    wheels.add_argument("wheels", type=Path)
    wheels.add_argument("--python", default="3.12", help="of the machine with the GPU")
    wheels.add_argument("--without", nargs="*", default=THERE, help="what the machine has")
    there = commands.add_parser("run")
    there.add_argument("wheels", type=Path)
    there.add_argument("work", type=Path)
    there.add_argument("out", type=Path)
    there.add_argument("--parts", nargs="*", default=(), help="only these, also if done before")
    there.add_argument("--limit", type=float, default=6 * 3600, help="seconds in all")
    there.add_argument("--least", type=float, default=30, help="seconds left to begin a part")
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    given = parser.parse_args(words[:cut])
    if given.command == "wheels":
        fill(given.wheels, python=given.python, without=given.without)
        return
    given.more = words[cut + 1 :]
    given.wheels, given.work, given.out = (
        path.resolve() for path in (given.wheels, given.work, given.out)
    )
    run(given)


if __name__ == "__main__":
    main()
