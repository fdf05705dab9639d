"""Ingest side by side with other writers of OME-Zarr, in one run on the same two cores.

    python -m venv PEERS && PEERS/bin/pip install ome-zarr "ngff-zarr[cli,all]" tifffile imagecodecs
    python benchmarks/ingest_peers.py FOLDER --peers-python PEERS/bin/python [--shape 256 4096 4096]

Makes a TIFF series and a BigTIFF stack in FOLDER (kept for the next run) and has each peer turn
both into an OME-Zarr with a pyramid, one after the other. Before each, the input is read once, so
that all start with the same files in memory. Costs count all processes (processes.py). Then each
result's level 0 is compared with the made voxels, level 1 with their exact mean, and boxes with a
halo are read by zarr. Results are removed at once; the table and FOLDER/ingest_peers.json stay.

What the peers are told: volproc, two workers. ome-zarr-py, see ome_zarr_writer.py, with the very
levels of volproc. ngff-zarr's command line: its own chunks of 128 (cheaper for it than 64), zstd-1,
levels of its own rule; a series goes through its itk backend, as its tifffile backend takes one
file. bioformats2raw is missing here: no package index has it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any

import zarr
from made_series import MadeVolume, Shape, made_series, made_stack
from processes import disk, measured
from result_checks import errors_of_mean, halo_reads, levels_of, wrong_voxels

from volproc import __version__
from volproc.grid.scale import VoxelNm
from volproc.volume.metadata import new_volume

CORES = 2
VOXEL_NM = VoxelNm((50.0, 10.0, 10.0))
HALO = 16
READS, CHECKS = 100, 12
WRITER = Path(__file__).with_name("ome_zarr_writer.py")
VERSIONS = """
import json, platform
from importlib.metadata import version
names = ("ome-zarr", "ngff-zarr", "dask", "zarr", "tifffile", "scikit-image", "itk-core", "numpy")
print(json.dumps({"python": platform.python_version(), **{n: version(n) for n in names}}))
"""

Command = Callable[[Path, Path], Sequence[str]]
"""(source, out) -> what to run."""


DISK = ("disk_bytes", "disk_taken_bytes", "files")
COLUMNS = (
    "peer",
    "wall s",
    "CPU s",
    "CPU, times volproc's",
    "peak GB",
    "without file pages",
    "disk GB",
    "files",
    "chunks",
    "levels",
    "halo read MB per CPU s",
    "level 1: greatest error",
    "mean error",
    "wrong voxels",
)


def peers(python: Path, shape: Shape, cache: Path) -> dict[str, Command]:
    """How to run each."""

    def volproc(source: Path, out: Path) -> Sequence[str]:
        size = [f"{n:g}" for n in VOXEL_NM]
        settings = ("--voxel-nm", *size, "--workers", str(CORES))
        return (sys.executable, "-m", "volproc", "ingest", str(source), str(out), *settings)

    def ome_zarr(method: str, setting: str) -> Command:
        levels = [",".join(map(str, f)) for f in factors(shape)]
        run = (str(python), str(WRITER))
        return lambda source, out: (*run, str(source), str(out), method, setting, *levels)

    def ngff_zarr(method: str) -> Command:
        def command(source: Path, out: Path) -> Sequence[str]:
            given = (f"{source}/*.tif", "--input-backend", "itk") if source.is_dir() else (source,)
            size = [str(word) for pair in zip("zyx", VOXEL_NM, strict=True) for word in pair]
            codec = ("--chunks", "128", "--codec", "zstd", "--compression-level", "1")
            words = (python.with_name("ngff-zarr"), "-i", *given, "-o", out, "-q", "-m", method)
            dims = ("-d", "z", "y", "x", "-s", *size, "--cache-dir", cache)
            return [str(word) for word in (*words, *codec, *dims)]

        return command

    return {
        "volproc": volproc,
        "ome-zarr-py local_mean, tuned": ome_zarr("local_mean", "tuned"),
        "ome-zarr-py local_mean, plain": ome_zarr("local_mean", "plain"),
        "ome-zarr-py resize, tuned": ome_zarr("resize", "tuned"),
        "ngff-zarr itk_bin_shrink": ngff_zarr("itk_bin_shrink"),
        "ngff-zarr dask_bin_shrink": ngff_zarr("dask_bin_shrink"),
        "ngff-zarr itkwasm_gaussian": ngff_zarr("itkwasm_gaussian"),
    }


def factors(shape: Shape) -> list[Shape]:
    """Of volproc's coarser levels."""
    levels = new_volume("", shape=shape, voxel_nm=VOXEL_NM, dtype="uint8").levels
    size = levels[0].voxel_nm
    return [
        tuple(round(a / b) for a, b in zip(level.voxel_nm, size, strict=True))  # type: ignore[misc]
        for level in levels[1:]
    ]


def cost_of(command: Command, source: Path, shape: Shape, *, limit_s: float) -> dict[str, Any]:
    """Run one peer on one source, look at what it wrote, and remove that."""
    folder = Path(tempfile.mkdtemp(prefix="ingest-peers-", dir=source.parent))
    out, log = folder / "out.zarr", folder / "log.txt"
    read_once(source)
    until = time.monotonic() + limit_s
    cost = measured(command(source, out), log=log, enough=lambda: time.monotonic() > until)
    row: dict[str, Any] = asdict(cost)
    if cost.code:
        row["log"] = log.read_text()[-2000:]
        print(row["log"], file=sys.stderr)
    else:
        row |= dict(zip(DISK, disk(out, Path(f"{out}.volproc")), strict=True))
        row |= looked_at(out, MadeVolume(shape))
    shutil.rmtree(folder)
    return row


def looked_at(out: Path, volume: MadeVolume) -> dict[str, Any]:
    """How right a result is, and how fast it is read."""
    levels = levels_of(out)
    error, bias = errors_of_mean(levels[0], levels[1], boxes=CHECKS)
    per_cpu_s, per_s = halo_reads(levels[0], reads=READS, halo=HALO)
    return {
        "levels": len(levels),
        "chunks": levels[0].chunks,
        "shards": levels[0].shards,
        "wrong_voxels": wrong_voxels(levels[0], volume, boxes=CHECKS),
        "level_1_error": error,
        "level_1_bias": bias,
        "halo_mb_per_cpu_s": per_cpu_s,
        "halo_mb_per_s": per_s,
    }


def read_once(source: Path) -> None:
    """Bring its files into the system's memory, as far as they fit."""
    for path in sorted(source.iterdir()) if source.is_dir() else (source,):
        with path.open("rb") as file:
            while file.read(2**24):
                pass


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown, one line per peer, and by what factor volproc takes less CPU time."""
    own = next((row["cpu_s"] for row in rows if row["peer"] == "volproc" and not row["code"]), None)
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---" * len(COLUMNS) + "|"
    for row in rows:
        if row["code"]:
            words = [
                row["peer"],
                f"failed or stopped (code {row['code']}) after {row['wall_s']:.0f} s",
            ]
        else:
            ratio = f"{row['cpu_s'] / own:.2f}" if own else ""
            words = [
                row["peer"],
                f"{row['wall_s']:.1f}",
                f"{row['cpu_s']:.1f}",
                ratio,
                f"{row['peak_bytes'] / 1e9:.2f}",
                f"{row['peak_private_bytes'] / 1e9:.2f}",
                f"{row['disk_taken_bytes'] / 1e9:.3f}",
                f"{row['files']}",
                "x".join(map(str, row["chunks"])),
                f"{row['levels']}",
                f"{row['halo_mb_per_cpu_s']:.0f}",
                f"{row['level_1_error']:.2f}",
                f"{row['level_1_bias']:+.2f}",
                f"{row['wrong_voxels']}",
            ]
        yield f"| {' | '.join(words)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peers-python", type=Path, required=True)
    parser.add_argument("--shape", type=int, nargs=3, default=(256, 4096, 4096))
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="peers named so")
    parser.add_argument("--limit-s", type=float, default=3600, help="most seconds of one run")
    given = parser.parse_args()
    shape = tuple(given.shape)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    python = given.peers_python.absolute()
    folder = given.folder.absolute()
    cache = folder / "ngff-cache"
    cache.mkdir(parents=True, exist_ok=True)
    known = peers(python, shape, cache)
    wanted = {k: v for k, v in known.items() if any(w in k for w in given.only or [""])}
    versions = json.loads(subprocess.check_output([python, "-c", VERSIONS], text=True))
    own = {"volproc": __version__, "zarr": zarr.__version__, "python": platform.python_version()}
    result: dict[str, Any] = {"shape": shape, "versions": own, "peers": versions, "rows": []}
    for source in (made_series(folder, shape), made_stack(folder, shape)):
        rows = []
        for name, command in wanted.items():
            load = os.getloadavg()[0]
            row = {"source": source.name, "peer": name, "load_before": load}
            row |= cost_of(command, source, shape, limit_s=given.limit_s)
            rows.append(row)
            print(f"{source.name}, {name}: {row['cpu_s']:.1f} CPU s", file=sys.stderr, flush=True)
        print(f"\n{source.name}, {prod(shape) / 1e9:.3g} GB, {CORES} cores, {own}, {versions}\n")
        print("\n".join(table(rows)), flush=True)
        result["rows"] += rows
        (folder / "ingest_peers.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
