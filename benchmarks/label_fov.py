"""A whole field of view labelled, filtered and measured: the truth of a made volume as the mask.

    python benchmarks/label_fov.py FOLDER [--shape 518 8192 8192] [--workers 2] [--drawn-nm 50]

Makes FOLDER/mask.zarr once (0 and 255, voxels of 50 x 10 x 10 nm) with a list of its nuclei: how
many voxels each has, and a voxel of each. The nuclei are drawn at 50 nm in plane and every pixel
repeated 5 x 5 times, which costs a minute or two; --drawn-nm 10 draws every pixel, 25 times that.
Then labels the mask on workers, drops what is smaller than 1.25 um³, measures what is left, and
looks every nucleus of the list up in the labels and in the table. Prints the time, CPU seconds and
memory of every step, and how far volumes are from the list.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import time
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from clock import Clock

import volproc
from volproc import ClusterOptions, LabelOptions, MeasureOptions
from volproc.engine.clusters.local import local_engine
from volproc.engine.protocol import Step
from volproc.engine.run import Runner
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Box, Shape
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.phantom.render import render_into
from volproc.stages.phantom.scene import Scene
from volproc.stages.phantom.scene_layout import make_scene
from volproc.volume.metadata import new_volume
from volproc.volume.store import Volume

VOXEL_NM = parse_voxel_nm((50, 10, 10))
MINIMUM_UM3 = 1.25


@dataclass(frozen=True)
class MakeMask:
    """Task: the truth of a block as a mask; for each nucleus its voxels there, and one of them."""

    scene: Scene
    mask: Volume
    repeats: int

    def load(self, block: Block) -> None:
        return None

    def compute(self, block: Block, loaded: None) -> npt.NDArray[np.uint16]:
        (z, y, x), (zz, yy, xx), n = block.core.start, block.core.stop, self.repeats
        drawn = Box((z, y // n, x // n), (zz, -(-yy // n), -(-xx // n)))
        truth = np.empty(drawn.shape, np.uint16)
        render_into(self.scene, drawn, None, truth)
        inside = (slice(None), slice(y % n, y % n + yy - y), slice(x % n, x % n + xx - x))
        return np.ascontiguousarray(truth.repeat(n, axis=1).repeat(n, axis=2)[inside])

    def store(self, block: Block, result: npt.NDArray[np.uint16]) -> list[list[int]]:
        self.mask.write(block.core, (result > 0).astype(np.uint8) * 255)
        flat, found = result.reshape(-1), []
        counts, cut = np.bincount(flat), self.at_border(block.core, result)
        for nucleus in np.flatnonzero(counts[1:]) + 1:
            places = np.flatnonzero(flat == nucleus)
            middle = np.unravel_index(places[len(places) // 2], result.shape)
            voxel = [int(a + b) for a, b in zip(middle, block.core.start, strict=True)]
            found.append([int(nucleus), int(counts[nucleus]), int(nucleus in cut), *voxel])
        return found

    def at_border(self, core: Box, result: npt.NDArray[np.uint16]) -> set[int]:
        """Nuclei of a block on the volume's border."""
        found: set[int] = set()
        for n, size in enumerate(self.mask.info.shape):
            ends = ((core.start[n] == 0, 0), (core.stop[n] == size, -1))
            for face in (result.take(at, axis=n) for there, at in ends if there):
                found.update(np.unique(face).tolist())
        return found


def make_mask(folder: Path, shape: Shape, workers: int, repeats: int) -> dict[str, list[int]]:
    """The mask and the list of its nuclei: voxels, whether cut, and a voxel where most of it is."""
    listed = folder / "nuclei.json"
    if listed.exists():
        found: dict[str, list[int]] = json.loads(listed.read_text())
        return found
    info = new_volume(str(folder / "mask.zarr"), shape=shape, voxel_nm=VOXEL_NM, dtype="uint8")
    info = info.with_provenance(made="the truth of a phantom")
    levels = info.levels[:1]  # labels need no pyramid of their mask
    mask = volproc.create_volume(
        type(info)(info.url, info.kind, info.dtype, levels, provenance=info.provenance),
        step="mask",
        digest=f"{shape} {repeats}",
        version=volproc.__version__,
    )
    drawn_nm = parse_voxel_nm((VOXEL_NM[0], *(nm * repeats for nm in VOXEL_NM[1:])))
    drawn = (shape[0], *(-(-n // repeats) for n in shape[1:]))
    scene = make_scene(drawn, drawn_nm, seed=1, cell_density=1.0)
    blocks = Tiling(shape, mask.info.write_unit)
    step = Step("mask", MakeMask(scene, mask, repeats), blocks, f"{shape} {repeats}")
    with local_engine(workers=workers) as engine:
        records = Runner(engine, folder / "ledger").run(step)
    mask.finish()
    nuclei: dict[str, list[int]] = {}
    most: dict[str, int] = {}
    for nucleus, count, cut, *voxel in (one for record in records for one in record):
        name = str(nucleus)
        before = nuclei.get(name, [0, 0, *voxel])
        place = voxel if count > most.get(name, 0) else before[2:]
        most[name] = max(count, most.get(name, 0))
        nuclei[name] = [before[0] + count, before[1] | cut, *place]
    listed.write_text(json.dumps(nuclei))
    return nuclei


def compare(nuclei: dict[str, list[int]], labels: Volume, table: pd.DataFrame) -> None:
    """Look every nucleus up; those that the border cuts may have fallen into pieces."""
    least = MINIMUM_UM3 / (prod(VOXEL_NM) * 1e-9)
    print(f"{len(table)} objects, {(~table['touches_border']).sum()} of them whole\n")
    print(
        "| nuclei of the list | | found | greatest difference in volume, mean |\n|---|---|---|---|"
    )
    for name, cut in (("whole", 0), ("cut by the border", 1)):
        errors, ids = [], set()
        kind = [one for one in nuclei.values() if one[0] >= least and one[1] == cut]
        for voxels, _, z, y, x in kind:
            label = int(labels.read(Box((z, y, x), (z + 1, y + 1, x + 1)))[0, 0, 0])
            ids.add(label)
            errors.append(abs(int(table["voxels"].get(label, 0)) - voxels) / voxels)
        worst = f"{max(errors):.5%}, {np.mean(errors):.5%}" if errors else ""
        print(f"| {name} | {len(kind)} | {len(ids - {0})} | {worst} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", type=int, nargs=3, default=(518, 8192, 8192))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--drawn-nm", type=int, default=50)
    parser.add_argument("--only-mask", action="store_true")
    given: Any = parser.parse_args()
    shape: Shape = tuple(given.shape)
    given.folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    repeats = round(given.drawn_nm / VOXEL_NM[1])
    nuclei = make_mask(given.folder, shape, given.workers, repeats)
    print(f"mask of {prod(shape) / 1e9:.3g} Gvoxel: {time.monotonic() - began:.0f} s")
    if given.only_mask:
        return
    measured = given.folder / "measured"
    for path in (*given.folder.glob("objects*"), measured):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    clock, began, load = Clock(), time.monotonic(), os.getloadavg()[0]
    how: Any = {
        "cluster": ClusterOptions(workers=given.workers, worker_memory_gb=3),
        "watchers": (clock,),
    }
    mask, objects = (str(given.folder / name) for name in ("mask.zarr", "objects.zarr"))
    made = volproc.label(mask, objects, LabelOptions(min_volume_um3=MINIMUM_UM3), **how)
    labelled = time.monotonic() - began
    table = volproc.measure(objects, str(measured), MeasureOptions(), **how).table
    wall = time.monotonic() - began
    print(f"{wall:.0f} s in all, {labelled:.0f} until labels and their table were there; ", end="")
    print(f"{given.workers} workers, load before {load:.1f}\n")
    print("| step | blocks | s | CPU s | peak of a worker, GB |\n|---|---|---|---|---|")
    for step, blocks, _, seconds, cpu, peak in clock.rows:
        print(f"| {step} | {blocks:,} | {seconds:.0f} | {cpu:.0f} | {peak / 1e9:.2f} |")
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    total = sum(row.cpu_s for row in clock.rows)
    print(f"\n{total:.0f} CPU s; this process {own:.2f} GB at most; dropped: {made.reasons}")
    compare(nuclei, made.labels, pd.read_csv(table, index_col="id"))


if __name__ == "__main__":
    main()
