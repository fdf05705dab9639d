"""What each score says of a real nucleus against itself, shifted: the table of docs/scores.md.

    python benchmarks/score_shifts.py DATA FOLDER

DATA holds hela-roi329/labels5_40nm.tif (values 1 and 2: nucleus), voxels of 50 x 40 x 40 nm.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import tifffile
from saved_volume import saved

import volproc
from volproc import ClusterOptions

VOXEL_NM = (50.0, 40.0, 40.0)
NUCLEUS = (1, 2)
SHOWN = ("masd_nm", "assd_nm", "hd_nm", "hd95_nm", "nsd_50", "nsd_100", "bf_50", "bf_100")


def shifted(mask: np.ndarray, axis: int, by: int) -> np.ndarray:
    """The mask further along an axis; what comes in is background."""
    moved = np.roll(mask, by, axis)
    np.moveaxis(moved, axis, 0)[:by] = False
    return moved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    labels = tifffile.imread(asked.data / "hela-roi329" / "labels5_40nm.tif")
    mask = np.isin(labels, NUCLEUS)
    truth = saved(asked.folder / "truth.zarr", mask.astype(np.uint8), VOXEL_NM)
    print("| shift |", " | ".join(("Dice", "IoU", *SHOWN, "2d mean masd_nm", "published, px")), "|")
    print("|---" * (len(SHOWN) + 5) + "|", flush=True)
    for axis, name in enumerate("zyx"):
        for by in (1, 2, 3):
            result = saved(
                asked.folder / f"{name}{by}.zarr",
                shifted(mask, axis, by).astype(np.uint8),
                VOXEL_NM,
            )
            score = volproc.evaluate(
                result,
                truth,
                surfaces="both",
                reference=True,
                cluster=ClusterOptions(kind="serial"),
            ).scores[0]
            row = (
                score.whole.dice,
                score.whole.iou,
                *(score.surfaces["3d"][one] for one in SHOWN),
                score.surfaces["2d mean"]["masd_nm"],
                score.reference["average_hausdorff_px"],
            )
            nm = by * VOXEL_NM[axis]
            print(
                f"| {name} {by} ({nm:g} nm) |", " | ".join(f"{v:.4g}" for v in row), "|", flush=True
            )


if __name__ == "__main__":
    main()
