"""The shipped model on a real cell that experts labelled: Dice per axis and fusion, time, memory.

    python benchmarks/real_cell.py DATA FOLDER [--model NAME]

DATA holds hela-roi329/ (raw_40nm.tif, lost_mask.tif, labels4_multinuclei_10nm.tif). The volume is
run as it is, and once more with its lost pixels (value 255, a ring along the nucleus) filled from
their surroundings, to show what the ring does. Scores are for slices 150 to 299, which no training
saw, and for the slices 205 and 242, where every pixel is exact. Nucleus = envelope and inside.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter

import volproc
from volproc import (
    EvaluateOptions,
    IngestOptions,
    PredictOptions,
)
from volproc.config.run import RunOptions
from volproc.workflow.workflow_file import Workflow

SLICES = (150, 300)
EXACT = (205, 242)
NUCLEUS = (1, 2)


def filled(image: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """`image` with the pixels of `lost` replaced by a mean of the known ones around, per slice."""
    weight = gaussian_filter((~lost).astype(np.float32), (0, 4, 4))
    total = gaussian_filter(np.where(lost, 0, image).astype(np.float32), (0, 4, 4))
    return np.where(lost, np.rint(total / np.maximum(weight, 1e-6)), image).astype(np.uint8)


def measure(source: Path, truth: str, folder: Path, model: str) -> None:
    """Run the whole road on `source` and print its table."""
    workflow = Workflow(
        run=RunOptions(source=str(source), folder=str(folder)),
        ingest=IngestOptions(voxel_nm=(50, 40, 40), match_slices=True),
        predict=PredictOptions(model=model),
        evaluate=EvaluateOptions(ground_truth=truth, ground_truth_labels=NUCLEUS, slices=SLICES),
    )
    began = time.monotonic()
    volproc.run(workflow)
    print(f"\n{source.name}: {time.monotonic() - began:.0f} s for everything, ", end="")
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["event"] == "StepFinished"]
    print(f"peak of a worker {max(step['peak_bytes'] for step in steps) / 1e9:.2f} GB")
    print("predict alone", next(s["seconds"] for s in steps if s["step"] == "predict"), "s\n")
    print(f"| answer | Dice {SLICES[0]} to {SLICES[1] - 1} | IoU | precision | recall |", end="")
    print(*(f" Dice {z} |" for z in EXACT), sep="")
    print("|---" * (5 + len(EXACT)) + "|")
    for score in json.loads((folder / "scores.json").read_text())["scores"]:
        slices = {one["z"]: one["dice"] for one in score["slices"]}
        values = [score[key] for key in ("dice", "iou", "precision", "recall")]
        values += [slices[z] for z in EXACT]
        print(f"| {score['answer']} | {' | '.join(f'{value:.3f}' for value in values)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="nuclei-50nm")
    given = parser.parse_args()
    cell = given.data / "hela-roi329"
    given.folder.mkdir(parents=True, exist_ok=True)
    truth = str(given.folder / "truth.zarr")
    labels = IngestOptions(voxel_nm=(50, 10, 10), labels=True)
    volproc.ingest(str(cell / "labels4_multinuclei_10nm.tif"), truth, labels)
    measure(cell / "raw_40nm.tif", truth, given.folder / "as-it-is", given.model)
    image, lost = (tifffile.imread(cell / name) for name in ("raw_40nm.tif", "lost_mask.tif"))
    without_ring = given.folder / "filled_40nm.tif"
    tifffile.imwrite(without_ring, filled(image, lost > 0), photometric="minisblack")
    measure(without_ring, truth, given.folder / "filled", given.model)


if __name__ == "__main__":
    main()
