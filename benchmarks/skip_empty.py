"""What skipping empty blocks saves and changes, on cells beside clear resin and padding.

    python benchmarks/skip_empty.py FOLDER [--seeds 1 2] [--skip 0.5 1 2] [--density 0.5]

    x  0 ......... 448 ......... 896 ......... 1344
       a phantom       clear resin     padding (0)

Clear resin has the grey, the noise and the slice-to-slice steps of the phantom's, and nothing in
it. Everything is predicted (three axes, mean) and labelled without skipping and with each setting;
printed is what differs: in which part blocks were skipped, voxels and objects there and elsewhere.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

import volproc
from volproc import ClusterOptions, LabelOptions, PhantomOptions, PredictOptions
from volproc.grid.box import Box
from volproc.stages.phantom.sensor import (
    MAX_STEP,
    noise_of,
)
from volproc.stages.predict.empty_blocks import empty_block_rule
from volproc.stages.predict.stage import plan_predict
from volproc.stages.volume_sample import volume_sample
from volproc.volume.metadata import new_volume
from volproc.volume.store import Volume, create_volume, open_volume

SHAPE = (64, 448, 448)
BLOCK = (64, 128, 128)
PARTS = ("phantom", "resin", "padding")
SERIAL = ClusterOptions(kind="serial")
Labels = npt.NDArray[np.uint32]


def made(folder: Path, *, seed: int, density: float) -> tuple[Volume, npt.NDArray[np.bool_]]:
    """The volume, and where the phantom's nuclei are."""
    inner = str(folder / f"phantom-{seed}.zarr")
    options = PhantomOptions(
        shape=SHAPE, voxel_nm=(50.0, 50.0, 50.0), seed=seed, cell_density=density
    )
    volproc.phantom(inner, options, cluster=SERIAL)
    phantom = open_volume(inner)
    cells = phantom.read(phantom.info.box)
    depth, height, width = SHAPE
    values = np.zeros((depth, height, len(PARTS) * width), np.uint8)
    values[..., :width] = cells
    rng = np.random.default_rng(seed)
    steps = rng.uniform(-MAX_STEP, MAX_STEP, (depth, 1, 1))
    resin = np.percentile(cells, 90) + steps + rng.normal(0, noise_of(50.0)[1], SHAPE)
    values[..., width : 2 * width] = resin.round().clip(1, 254)
    info = new_volume(
        inner.replace("phantom", "image"),
        shape=values.shape,
        voxel_nm=phantom.info.voxel_nm,
        dtype="uint8",
        max_levels=1,
    )
    volume = create_volume(info, step="benchmark", digest=f"{seed}-{density}", version="0")
    volume.write(info.box, values)
    truth = np.zeros(values.shape, bool)
    truth[..., :width] = open_volume(f"{inner}/labels/nuclei").read(phantom.info.box)
    return volume.finish(), truth


def answered(image: Volume, folder: Path, skip: float) -> tuple[Volume, Labels, float]:
    """The prediction, its objects, and CPU seconds of predicting."""
    out = str(folder / f"{Path(image.info.url).stem}-out-{skip}.zarr")
    began = time.process_time()
    options = PredictOptions(block=BLOCK, tile=BLOCK, skip_empty_std=skip)
    prediction = volproc.predict(image.info.url, out, options, cluster=SERIAL)
    cost = time.process_time() - began
    labelled = volproc.label(
        out, out.replace("out", "objects"), LabelOptions(border="keep"), cluster=SERIAL
    ).labels
    return prediction, labelled.read(labelled.info.box), cost


def skipped_by_part(image: Volume, prediction: Volume, skip: float) -> list[str]:
    """Of each part: blocks skipped, of all that begin in it."""
    options = PredictOptions(block=BLOCK, tile=BLOCK, skip_empty_std=skip)
    plan = plan_predict(image.info, prediction.info.url, options)
    rule = empty_block_rule(
        image.info, plan.output.voxel_nm, volume_sample(image), deviations=options.skip_empty_std
    )
    assert rule is not None
    empty = [
        rule.is_empty(plan.layout.window(b.core, plan.options.axes), image) for b in plan.blocks
    ]
    assert sum(empty) == prediction.info.provenance["skipped_blocks"]
    part = [min(block.core.start[2] // SHAPE[2], 2) for block in plan.blocks]
    return [
        f"{sum(e for e, p in zip(empty, part, strict=True) if p == n)} of {part.count(n)}"
        for n in range(len(PARTS))
    ]


def objects_changed(before: Labels, after: Labels, where: slice) -> tuple[int, int]:
    """Objects of `before` that begin in `where`, and those that are not the same voxels after."""
    count = int(before.max()) + 1
    first = np.full(count, before.shape[2])
    np.minimum.at(first, before.ravel(), np.tile(np.arange(before.shape[2]), before[..., 0].size))
    pairs, sizes = np.unique(before.astype(np.uint64) << np.uint64(32) | after, return_counts=True)
    old, new = (pairs >> np.uint64(32)).astype(int), (pairs & np.uint64(2**32 - 1)).astype(int)
    total = np.bincount(new, weights=sizes)
    same = {int(o) for o, n, size in zip(old, new, sizes, strict=True) if n and size == total[n]}
    parted = {int(o) for o in old if (old == o).sum() > 1}
    mine = [n for n in range(1, count) if where.start <= first[n] < where.stop]
    return len(mine), sum(n not in same or n in parted for n in mine)


def main() -> None:
    """Print a row per phantom and setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--skip", type=float, nargs="+", default=[0.5, 1.0, 2.0])
    parser.add_argument("--density", type=float, default=0.5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    inside, beside = slice(0, SHAPE[2]), slice(SHAPE[2], len(PARTS) * SHAPE[2])
    print(
        "| seed | skip | blocks skipped in phantom | resin | padding | CPU s | voxels changed in "
        "the phantom | beside it | of them nuclei | objects in the phantom | changed | beside it "
        "| gone |"
    )
    print("|---" * 13 + "|", flush=True)
    for seed in given.seeds:
        image, truth = made(given.folder, seed=seed, density=given.density)
        whole = Box((0, 0, 0), truth.shape)
        plain, before, cost = answered(image, given.folder, 0.0)
        votes = plain.read(whole) >= 128
        print(f"| {seed} | 0 | | | | {cost:.1f} | | | | | | | |", flush=True)
        for skip in given.skip:
            prediction, after, cost = answered(image, given.folder, skip)
            changed = votes != (prediction.read(whole) >= 128)
            counts = [int(changed[..., part].sum()) for part in (inside, beside)]
            cells = [
                *skipped_by_part(image, prediction, skip),
                f"{cost:.1f}",
                *counts,
                int((changed & truth).sum()),
                *objects_changed(before, after, inside),
                *objects_changed(before, after, beside),
            ]
            print(f"| {seed} | {skip:g} | {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
