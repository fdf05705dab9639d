"""Time and memory of `evaluate` on a pair of label volumes, whose scores are known.

    python benchmarks/score_pair.py FOLDER [--shape 512 2048 2048]

Truth: balls of 400 nm (ellipsoids of voxels of 50 x 10 x 10 nm), one in each cell of 1.28 um.
Result: the same, two voxels further along x; every eighth ball is cut in two, and every eighth
other one has its neighbour's id. One process, all scores.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np

import volproc
from volproc import ClusterOptions
from volproc.grid.blocks import Tiling
from volproc.grid.box import Box
from volproc.grid.scale import parse_voxel_nm
from volproc.volume.metadata import new_volume
from volproc.volume.store import create_volume, open_volume

VOXEL_NM = (50.0, 10.0, 10.0)
CELL_NM, RADIUS_NM = 1280.0, 400.0
SHIFT = 2
"""Voxels along x."""


def balls(box: Box, *, shift: int, wrong: bool) -> np.ndarray:
    """Ids of the balls in a box, `shift` voxels further; `wrong`: some are split, some merged."""
    centres, numbers = [], []
    for axis, (a, b) in enumerate(zip(box.start, box.stop, strict=True)):
        at = (np.arange(a, b) - (shift if axis == 2 else 0) + 0.5) * VOXEL_NM[axis]
        cell = np.floor(at / CELL_NM)
        numbers.append(cell.astype(np.int64))
        centres.append(at - (cell + 0.5) * CELL_NM)
    z, y, x = np.ix_(*centres)
    inside = z**2 + y**2 + x**2 <= RADIUS_NM**2
    i, j, k = np.ix_(*numbers)
    ids = 2 + 2 * ((i * 1000 + j) * 1000 + k + 1)
    if wrong:
        ids = ids + ((k % 8 == 0) & (x > 0))  # two halves
        ids = np.where(k % 8 == 4, ids - 2, ids)  # the id of the ball before
    return np.where(inside, ids, 0).astype(np.uint32)


def make(url: Path, shape: tuple[int, int, int], **how: object) -> None:
    """One of the two volumes, unless it is there."""
    if url.exists():
        return
    info = new_volume(
        str(url),
        shape=shape,
        voxel_nm=parse_voxel_nm(VOXEL_NM),
        dtype="uint32",
        kind="labels",
        max_levels=1,
    )
    volume = create_volume(info, step="made", digest="made", version="0")
    for block in Tiling(shape, info.write_unit):
        volume.write(block.core, balls(block.core, **how))
    volume.finish()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 2048, 2048))
    parser.add_argument("--surfaces", default="3d")
    asked = parser.parse_args()
    shape = tuple(asked.shape)
    truth, result = (asked.folder / f"{name}.zarr" for name in ("truth", "result"))
    make(truth, shape, shift=0, wrong=False)
    make(result, shape, shift=SHIFT, wrong=True)
    voxels = np.prod(open_volume(str(truth)).info.shape)
    began, used = time.monotonic(), time.process_time()
    scores = volproc.evaluate(
        str(result),
        str(truth),
        out=str(asked.folder / "scores.json"),
        surfaces=asked.surfaces,
        cluster=ClusterOptions(kind="serial"),
        overwrite=True,
    )
    seconds, cpu = time.monotonic() - began, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for rows in (scores.rows(), scores.surface_rows(), scores.object_rows()):
        print(json.dumps(rows, indent=1))
    print(
        f"{voxels / 1e9:.2f} Gvoxel: {seconds:.0f} s, {cpu:.0f} CPU s, "
        f"{voxels / cpu / 1e6:.1f} Mvoxel per CPU s, peak {peak / 1e9:.2f} GB"
    )


if __name__ == "__main__":
    main()
