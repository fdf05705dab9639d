"""A whole field of view, ingested for real and killed on the way: costs, and is every voxel there?

    python benchmarks/ingest_fov.py FOLDER [--shape 518 8192 8192] [--kills 2]

Makes a TIFF series in FOLDER (35 GB, kept; the result takes as much again) and runs
`volproc ingest` on it with two workers. With two kills, all its processes get SIGKILL once a third
of the blocks are on record, and again at two thirds; each time the same command is given anew.
Costs count all processes of all runs (processes.py). Then random boxes and whole slices are
compared with what was made, every level with the mean of the level before, and the result,
nothing else, is removed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from made_series import MadeVolume, Shape, made_series, series_folder
from processes import Cost, disk, measured
from result_checks import errors_of_mean, levels_of, wrong_voxels

WORKERS = 2
BOXES, SLICES = 60, 6


@dataclass(frozen=True)
class Run:
    """One start of the command: blocks on record before and after, and what it took."""

    before: int
    after: int
    cost: Cost

    @property
    def end(self) -> str:
        return {0: "finished", -9: "killed"}.get(self.cost.code, f"failed ({self.cost.code})")


def ingested(series: Path, out: Path, *, kills: int) -> list[Run]:
    """Run the command until it has finished, killed `kills` times."""
    command = [sys.executable, "-m", "volproc", "ingest", str(series), str(out)]
    command += ["--voxel-nm", "50", "10", "10", "--workers", str(WORKERS)]
    runs: list[Run] = []
    while not runs or (runs[-1].end == "killed" and len(runs) <= kills):
        before, _ = recorded(out)
        share = (len(runs) + 1) / (kills + 1)
        cost = measured(command, log=out.parent / "log.txt", enough=reached(out, share))
        runs.append(Run(before, recorded(out)[0], cost))
        print(f"{runs[-1].end} at {runs[-1].after} blocks", file=sys.stderr, flush=True)
    return runs


def reached(out: Path, share: float) -> Callable[[], bool]:
    """Whether that share of the blocks of the finest level is on record; never, for all of them."""

    def enough() -> bool:
        done, blocks = recorded(out)
        return share < 1 and blocks > 0 and done >= share * blocks

    return enough


def recorded(out: Path) -> tuple[int, int]:
    """Blocks of the ingest step that are on record, and how many there are."""
    ledger = Path(f"{out}.volproc/ledger/ingest.jsonl")
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return max(0, len(lines) - 1), json.loads(lines[0])["blocks"] if lines else 0


def wrong_in_slices(finest: Any, series: Path, *, slices: int) -> int:
    """Voxels of whole slices, first and last among them, that differ from the files."""
    files = sorted(series.glob("*.tif"))
    chosen = np.linspace(0, len(files) - 1, slices).round().astype(int)
    return sum(int((finest[z] != tifffile.imread(files[z])).sum()) for z in chosen.tolist())


def checks(out: Path, series: Path, shape: Shape) -> dict[str, Any]:
    """What is wrong with the result; distances from the mean are 0.5 at most where only rounded."""
    levels = levels_of(out)
    pairs = pairwise(levels)
    return {
        "levels": len(levels),
        "wrong voxels in boxes": wrong_voxels(levels[0], MadeVolume(shape), boxes=BOXES),
        "wrong voxels in whole slices": wrong_in_slices(levels[0], series, slices=SLICES),
        "distance of each level from the mean": [
            errors_of_mean(finer, coarser, boxes=BOXES // 4)[0] for finer, coarser in pairs
        ],
    }


def table(runs: list[Run]) -> str:
    """Markdown: every run and their sum."""
    rows = [
        (str(n), run.end, f"{run.before} to {run.after}", run.cost)
        for n, run in enumerate(runs, start=1)
    ]
    rows.append(("all", runs[-1].end, str(runs[-1].after), sum((r.cost for r in runs), Cost())))
    lines = [
        "| run | end | blocks on record | wall s | CPU s | peak GB | without file pages |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, end, blocks, cost in rows:
        numbers = (cost.wall_s, cost.cpu_s)
        memory = (cost.peak_bytes / 1e9, cost.peak_private_bytes / 1e9)
        words = (name, end, blocks, *(f"{n:.1f}" for n in numbers), *(f"{n:.2f}" for n in memory))
        lines.append(f"| {' | '.join(words)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", type=int, nargs=3, default=(518, 8192, 8192))
    parser.add_argument("--kills", type=int, default=2)
    given = parser.parse_args()
    shape = tuple(given.shape)
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    needed = 2 * prod(shape) - disk(series_folder(folder, shape))[1]
    if free < needed:
        print(f"{folder} has {free / 1e9:.0f} GB free; {needed / 1e9:.0f} GB are needed")
        return 2
    series = made_series(folder, shape)
    scratch = Path(tempfile.mkdtemp(prefix="ingest-fov-", dir=folder))
    out = scratch / "fov.zarr"
    load = os.getloadavg()[0]
    runs = ingested(series, out, kills=given.kills)
    whole = sum((run.cost for run in runs), Cost())
    print(
        f"{shape} voxels ({prod(shape) / 1e9:.3g} GB), {WORKERS} workers, load before {load:.1f}\n"
    )
    print(table(runs))
    if whole.code:
        print((scratch / "log.txt").read_text()[-2000:])
        shutil.rmtree(scratch)
        return 1
    said, taken, files = disk(out)
    print(f"\n{taken / 1e9:.3f} GB on disk ({said / 1e9:.3f} in {files} files), ", end="")
    print(f"{prod(shape) / 1e6 / whole.wall_s:.0f} MB/s, largest process ", end="")
    print(f"{whole.largest_bytes / 1e9:.2f} GB\n")
    found = checks(out, series, shape)
    print("\n".join(f"- {name}: {value}" for name, value in found.items()))
    rows = [{"before": r.before, "after": r.after, "end": r.end, **asdict(r.cost)} for r in runs]
    result = {"shape": shape, "runs": rows, "disk_bytes": said, "files": files, "checks": found}
    (folder / "ingest_fov.json").write_text(json.dumps(result, indent=1))
    shutil.rmtree(scratch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
