"""All that is to be run on a machine with a GPU, in one command, also where nothing can be fetched.

    python benchmarks/gpu_session.py WHEELS WORK OUT          again: goes on with what is left

Makes WORK/venv, which sees the packages of the Python it is run by and takes the rest from WHEELS
(gpu_wheels.py fills it), and does the parts below one after the other, each within its time; a part
that fails or is late is noted with what it has said so far, and the next begins. Everything is
told in OUT: summary.md (for each GPU a table of figures, one of the parts, and the ends of what
they say), logs.txt, dmon.txt (what the GPU did, second by second). --limit ends it after so many
seconds; the same command goes on, with the part that was cut off unless that had all the time there
is. What follows `--` goes to full_fov.py and profile_block.py:

    python benchmarks/gpu_session.py WHEELS WORK OUT -- --shape 64 512 512          to try it out
    python benchmarks/gpu_session.py WHEELS WORK OUT --simulated -- --shape 24 128 128

--simulated is for machines without a GPU: the parts run on the one of tests/simulated_gpu, with
small patches to train on, and without those of torch.compile, which is not simulated.
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
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from figures import figures
from gpu_wheels import requirements

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
TOLD_LINES = 60
SIMULATED = "The parts ran to their ends or limits; no figure here says how fast a GPU is."
SMALL_PATCHES = ("--patch", "32", "--batch", "2", "--steps", "4", "--gb", "0.013", "--towers", "4")


@dataclass(frozen=True)
class Part:
    """A command of the session: what WORK/venv's Python is given, and for how many seconds."""

    name: str
    words: tuple[str, ...]
    limit_s: int


def parts(work: Path, more: Sequence[str], *, simulated: bool) -> tuple[Part, ...]:
    """In the order of what is wanted first. What is at native sampling is a part, extrapolated."""
    patches = SMALL_PATCHES if simulated else ()

    def fov(name: str, limit_s: int, *words: str) -> Part:
        return Part(name, (str(HERE / "full_fov.py"), str(work / "fov"), *words, *more), limit_s)

    def profile(model: str) -> Part:
        words = (str(HERE / "profile_block.py"), str(work / "profile"), model, *more)
        return Part(f"profile-{model}", words, 240)

    def training(network: str) -> Part:
        words = (str(HERE / "gpu_train.py"), str(work / "training"), network, *patches)
        return Part(f"training-{network}", words, 300)

    def shared(workers: int) -> Part:
        words = ("--models", "nuclei-50nm", "--gpu-workers", str(workers))
        return fov(f"native-{workers}-workers", 400, *native, *words)

    tests = ("-m", "pytest", "-W", "default", "-p", "no:cacheprovider", "-m", "gpu", "tests/gpu")
    native = ("--at", "native", "--fraction", "0.1")
    kernels = HERE / "cupy_kernels.py"
    found = (
        Part("machine", ("-c", VERSIONS), 60),
        Part("tests", (*tests, "-rs", "--basetemp", str(work / "tests")), 540),
        profile("nuclei-50nm"),
        profile("etchacell"),
        fov("nuclei", 540, "--models", "nuclei-50nm"),
        fov("etchacell", 300, "--models", "etchacell"),
        training("nuclei-50nm"),
        training("etchacell"),
        Part("model", (str(HERE / "gpu_time_model.py"),), 300),
        fov("native", 540, *native, "--models", "etchacell"),
        *(shared(workers) for workers in (1, 2, 3)),
        *([Part("cupy", (str(kernels),), 300)] if kernels.exists() else []),
        fov("compiled", 540, "--compiled"),
        fov("native-compiled", 540, *native, "--compiled"),
    )
    return tuple(part for part in found if not (simulated and "--compiled" in part.words))


DEVICE = """
import torch
print(torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU")
"""
VERSIONS = """
import os, shutil, subprocess, sys
from importlib.metadata import version
import torch
print("Python", sys.version.split()[0], "on", os.cpu_count(), "cores")
for name in ("torch", "numpy", "numba", "zarr", "dask", "distributed", "imagecodecs"):
    print(name, version(name))
print("CUDA", torch.version.cuda, [torch.cuda.get_device_name(n)
      for n in range(torch.cuda.device_count())])
print(subprocess.run(["df", "-h", "."], capture_output=True, text=True).stdout)
if shutil.which("nvidia-smi"):
    print(subprocess.run(["nvidia-smi"], capture_output=True, text=True).stdout)
"""


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


def simulated() -> dict[str, str]:
    """The environment of processes that have a simulated GPU."""
    site = PROJECT / "tests" / "simulated_gpu" / "site"
    return {"PYTHONPATH": os.pathsep.join([str(site), str(PROJECT), str(PROJECT / "src")])}


def do(
    part: Part,
    python: Path,
    results: Path,
    *,
    left_s: float,
    first: bool,
    more: Mapping[str, str],
) -> None:
    """Run a part and note how it ended; whatever it has started ends with it."""
    again = False
    began = time.monotonic()
    with (results / f"{part.name}.log").open("w") as log:
        process = subprocess.Popen(
            [str(python), *part.words],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=PROJECT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **more},
            start_new_session=True,
        )
        try:
            code = process.wait(min(part.limit_s, left_s))
            ended = "done" if code == 0 else f"failed ({code})"
        except subprocess.TimeoutExpired:
            ended = "out of time"
            again = left_s < part.limit_s and not first
        finally:
            _end(process)
    noted = {"ended": ended, "seconds": round(time.monotonic() - began, 1), "again": again}
    (results / f"{part.name}.json").write_text(json.dumps(noted))
    print(f"{part.name}: {ended}, {noted['seconds']} s", flush=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def device_of(python: Path, more: Mapping[str, str]) -> str:
    """What the GPU is called."""
    words, env = [str(python), "-c", DEVICE], {**os.environ, **more}
    found = subprocess.run(words, capture_output=True, text=True, env=env, cwd=PROJECT)
    return (found.stdout.strip().splitlines() or ["no GPU"])[-1]


def tell(all_parts: Sequence[Part], results: Path, out: Path) -> None:
    """Gather what there is by now in `out`, of all GPUs: few files for any number of parts."""
    told, logs = [], []
    for place in sorted(path for path in results.iterdir() if path.is_dir()):
        told.append(section(place, all_parts))
        for part in all_parts:
            if (log := place / f"{part.name}.log").exists():
                logs.append(f"{'=' * 20} {place.name}: {part.name}\n{_said(log)}")
    out.mkdir(parents=True, exist_ok=True)
    (out / "summary.md").write_text("\n".join(told))
    (out / "logs.txt").write_text("\n".join(logs))
    if (results / "dmon.txt").exists():
        shutil.copy(results / "dmon.txt", out)


def section(place: Path, all_parts: Sequence[Part]) -> str:
    """Of one GPU: its figures, how the parts ended, and the ends of what they said."""
    ended = ["| part | ended | s |", "|---|---|---|"]
    told, ends = ["| part | what | figure |", "|---|---|---|"], []
    for part in all_parts:
        note, log = place / f"{part.name}.json", place / f"{part.name}.log"
        if not note.exists():
            ended.append(f"| {part.name} | not started | |")
            continue
        said, found = _said(log), json.loads(note.read_text())
        ended.append(f"| {part.name} | {found['ended']} | {found['seconds']} |")
        told += [f"| {part.name} | {what} | {value} |" for what, value in figures(said)]
        tail = "\n".join(said.splitlines()[-TOLD_LINES:])
        ends.append(f"### {part.name}\n\n```\n{tail}\n```")
    title = (place / "device").read_text()
    warning = [SIMULATED, ""] if "simulated" in title else []
    return "\n".join([f"# {title}", "", *warning, *told, "", *ended, "", *ends, ""])


def _said(log: Path) -> str:
    return log.read_text(errors="replace")


def watched(results: Path) -> subprocess.Popen[bytes] | None:
    """What the GPU does from now on, into dmon.txt; None where nobody can tell."""
    if not shutil.which("nvidia-smi"):
        return None
    with (results / "dmon.txt").open("ab") as log:
        words = ["nvidia-smi", "dmon", "-s", "um", "-o", "T", "-d", "1"]
        return subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def done(part: Part, results: Path) -> bool:
    """Whether a part was run, and not cut off for want of time."""
    note = results / f"{part.name}.json"
    return note.exists() and not json.loads(note.read_text())["again"]


def run(
    known: Sequence[Part], wheels: Path, work: Path, out: Path, given: argparse.Namespace
) -> None:
    """Do the parts that are asked for, or those not done yet, within the time given."""
    end = time.monotonic() + given.limit
    results = work / "results"
    results.mkdir(parents=True, exist_ok=True)
    python = work / "venv" / "bin" / "python"
    if not (results / "environment").exists():
        python = environment(wheels, work)
        (results / "environment").touch()
    simulating = simulated() if given.simulated else {}
    device = device_of(python, simulating)
    place = results / re.sub(r"\W+", "-", device)
    place.mkdir(exist_ok=True)
    (place / "device").write_text(device)
    chosen = [part for part in known if part.name in given.parts]
    chosen = chosen or [part for part in known if not done(part, place)]
    watching = watched(results)
    try:
        for part in chosen:
            if end - time.monotonic() < given.least:
                break
            left = end - time.monotonic()
            # the tests simulate a GPU by themselves
            more = simulating if part.name != "tests" else {}
            do(part, python, place, left_s=left, first=part is chosen[0], more=more)
            tell(known, results, out)
    finally:
        if watching:
            _end(watching)
        tell(known, results, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheels", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--parts", nargs="*", default=(), help="only these, also if done before")
    parser.add_argument("--limit", type=float, default=6 * 3600, help="seconds in all")
    parser.add_argument("--least", type=float, default=30, help="seconds left to begin a part")
    parser.add_argument("--simulated", action="store_true", help="on a simulated GPU")
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    given = parser.parse_args(words[:cut])
    wheels, work, out = (path.resolve() for path in (given.wheels, given.work, given.out))
    known = parts(work, words[cut + 1 :], simulated=given.simulated)
    unknown = sorted(set(given.parts) - {part.name for part in known})
    if unknown:
        raise SystemExit(f"no part {unknown[0]!r}; parts are {', '.join(p.name for p in known)}")
    run(known, wheels, work, out, given)


if __name__ == "__main__":
    main()
