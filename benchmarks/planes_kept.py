"""What fewer planes a pass, and mirror images, buy: Dice and cost of --keep and --flips.

    python benchmarks/planes_kept.py DATA FOLDER [--volumes cell]

Two volumes at 50 nm: a phantom, and the cell of DATA/hela-roi329 that experts labelled (slices 150
to 299, which no training saw; nucleus = envelope and inside). Besides Dice of the mean of three
axes and of each: how much a vote along z changes from the last plane of a pass to the first of the
next, against from plane to plane within a pass (1 where the passes do not show).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

import volproc
from volproc import ClusterOptions, EvaluateOptions, IngestOptions, PhantomOptions, PredictOptions
from volproc.volume.store import Volume, open_volume

SETTINGS = ((8, False), (4, False), (2, False), (8, True), (4, True))
PHANTOM = PhantomOptions(shape=(128, 384, 384), voxel_nm=(50.0, 50.0, 50.0), seed=7)
SERIAL = ClusterOptions(kind="serial")
EDGE = 64
"""A step of this many of 255 between planes counts as one that passes leave."""


def phantom(folder: Path) -> tuple[str, EvaluateOptions]:
    """A made volume, and how it is scored."""
    url = str(folder / "phantom.zarr")
    volproc.phantom(url, PHANTOM, cluster=SERIAL)
    return url, EvaluateOptions(ground_truth=f"{url}/labels/nuclei")


def real_cell(data: Path, folder: Path) -> tuple[str, EvaluateOptions]:
    """The labelled cell, and how it is scored."""
    url, truth = str(folder / "cell.zarr"), str(folder / "truth.zarr")
    cell = data / "hela-roi329"
    how = IngestOptions(voxel_nm=(50, 40, 40), match_slices=True)
    volproc.ingest(str(cell / "raw_40nm.tif"), url, how, cluster=SERIAL)
    labels = IngestOptions(voxel_nm=(50, 10, 10), labels=True)
    volproc.ingest(str(cell / "labels4_multinuclei_10nm.tif"), truth, labels, cluster=SERIAL)
    return url, EvaluateOptions(ground_truth=truth, ground_truth_labels=(1, 2), slices=(150, 300))


def steps_shown(votes: Volume, keep: int) -> tuple[float, float]:
    """Mean change of a vote along z between passes over that within them, and share of edges."""
    along_z = votes.read(votes.info.box)[votes.info.channels.index("z")].astype(np.int16)
    change = np.abs(np.diff(along_z, axis=0))
    between = np.arange(1, len(along_z)) % keep == 0
    inside = change[~between].mean()
    return float(change[between].mean() / inside), float((change[between] >= EDGE).mean())


def measure(url: str, scored: EvaluateOptions, folder: Path) -> None:
    """Print a row for every setting."""
    print("| keep | flips | CPU s | Dice | along z | y | x | step between passes | of 64 or more |")
    print("|---" * 9 + "|", flush=True)
    for keep, flips in SETTINGS:
        name = f"{Path(url).stem}-{keep}-{flips}"
        out, votes = (str(folder / f"{name}-{kind}.zarr") for kind in ("out", "votes"))
        began = time.process_time()
        options = PredictOptions(center_planes=keep, flips=flips)
        volproc.predict(url, out, options, votes=votes, cluster=SERIAL)
        cost = time.process_time() - began
        scores = volproc.evaluate(votes, scored, cluster=SERIAL)
        dice = {row["answer"]: row["dice"] for row in scores.rows()}
        wanted = [dice[f"votes {part}"] for part in ("mean", "z", "y", "x")]
        ratio, edges = steps_shown(open_volume(votes), keep)
        cells = [f"{one:.4f}" for one in wanted]
        print(
            f"| {keep} | {'yes' if flips else 'no'} | {cost:.0f} | {' | '.join(cells)} |"
            f" {ratio:.1f} | {100 * edges:.2f}% |",
            flush=True,
        )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--volumes", nargs="+", default=["phantom", "cell"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in given.volumes:
        print(name)
        made = phantom(given.folder) if name == "phantom" else real_cell(given.data, given.folder)
        measure(*made, given.folder)


if __name__ == "__main__":
    main()
