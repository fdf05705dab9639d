"""A field of view from Zarr to the report on a CPU, each way of making it faster on and off.

    python benchmarks/cpu_modes.py FOLDER [--shape 518 8192 8192] [--modes float32 int8 preview]
        [--keep]

FOLDER/image.zarr of 50 x 10 x 10 nm is made unless it is there: a phantom, repeated in plane. Each
mode is one `volproc run` (predict, label, measure, report) as a user types it; seconds are those of
the whole command. Dice are those of the first repeat, without a margin: against the prediction in
float32, and against the phantom's truth, at 50 nm. Volumes of a mode are removed after it has
been scored, unless they are kept.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
from processes import measured
from repeated import SIDE, repeated_phantom

import volproc
from volproc.grid.box import Box
from volproc.grid.scale import parse_voxel_nm

VOXEL_NM = parse_voxel_nm((50, 10, 10))
FINE = 5
"""Pixels of the image in one of 50 nm, along y and x."""
MARGIN = 20
"""Pixels of 50 nm beside the border of the first repeat, where another one begins."""
INSIDE = 128
MODES = {"float32": "", "int8": 'precision = "int8"', "preview": ""}
WORKFLOW = """
[run]
source = "{source}"
folder = "{folder}"

[predict]
votes = false
{predict}

[label]
[measure]
[report]
"""


def ran(mode: str, image: str, folder: Path) -> tuple[float, float, float]:
    """Seconds and CPU seconds of a mode's command, and GB of all its processes."""
    file = folder / f"{mode}.toml"
    place = folder / f"run-{mode}"
    file.write_text(WORKFLOW.format(source=image, folder=place, predict=MODES[mode]))
    words = [sys.executable, "-m", "volproc", "run", str(file)]
    more = ["--preview"] if mode == "preview" else []
    cost = measured([*words, *more], log=folder / f"{mode}.txt")
    if cost.code:
        raise SystemExit((folder / f"{mode}.txt").read_text()[-2000:])
    return cost.wall_s, cost.cpu_s, cost.peak_bytes / 1e9


def nuclei(prediction: Path) -> np.ndarray:
    """What is predicted inside the first repeat, at 50 nm; coarser voxels are repeated."""
    volume = volproc.open_volume(str(prediction))
    times = round(volume.info.voxel_nm[1] / VOXEL_NM[1] / FINE)
    stop = SIDE // FINE - MARGIN
    box = volume.info.box.clip(Box((0, 0, 0), (volume.info.shape[0], *(-(-stop // times),) * 2)))
    found = volume.read(box) >= INSIDE
    for axis in range(3):
        found = np.repeat(found, times, axis)
    return found[:, MARGIN:stop, MARGIN:stop]


def truth(folder: Path) -> np.ndarray:
    """The phantom's nuclei there: at 50 nm where half of the fine voxels are inside."""
    labels = volproc.open_volume(str(folder / "repeated.zarr" / "labels" / "nuclei"))
    stop = SIDE // FINE * FINE
    values = labels.read(Box((0, 0, 0), (labels.info.shape[0], stop, stop))) > 0
    planes, side = len(values), stop // FINE
    share = values.reshape(planes, side, FINE, side, FINE).mean((2, 4), dtype=np.float32)
    inner = slice(MARGIN, SIDE // FINE - MARGIN)
    return share[:, inner, inner] >= 0.5


def dice(one: np.ndarray, other: np.ndarray) -> float:
    planes = min(len(one), len(other))
    one, other = one[:planes], other[:planes]
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def main() -> None:
    """Print a row per mode."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("folder", type=Path)
    ask.add_argument("--shape", type=int, nargs=3, default=(518, 8192, 8192))
    ask.add_argument("--modes", nargs="+", default=list(MODES), choices=list(MODES))
    ask.add_argument("--keep", action="store_true")
    given = ask.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    image = repeated_phantom(given.folder / "image.zarr", tuple(given.shape), VOXEL_NM)
    real, first = truth(given.folder), None
    print("| mode | s | CPU s | GB | Dice, float32 | Dice, truth |\n|---|---|---|---|---|---|")
    for mode in given.modes:
        wall, cpu, peak = ran(mode, image.info.url, given.folder)
        place = given.folder / f"run-{mode}{'-preview' if mode == 'preview' else ''}"
        found = nuclei(place / "prediction.zarr")
        first = found if first is None else first
        scores = f"{dice(found, first):.4f} | {dice(found, real):.4f}"
        print(f"| {mode} | {wall:.1f} | {cpu:.1f} | {peak:.2f} | {scores} |", flush=True)
        if not given.keep:
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
