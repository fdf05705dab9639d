"""What skipping empty blocks saves and loses, on phantoms with few cells in a frame of padding.

Predicts everything once, three axes, and asks the rule of `stages/predict/skip.py` of every block:
how many would have been skipped, how many voxels of theirs some axis calls foreground, and how
many of those are: a network may see nuclei in padding.

    python benchmarks/skip_empty.py FOLDER [--densities 0.1 0.2 0.4] [--seeds 1 2]
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

import volproc
from volproc.config import ClusterOptions, PhantomOptions, PredictOptions
from volproc.stages.normalisation import volume_sample
from volproc.stages.predict.skip import emptiness
from volproc.stages.predict.stage import PredictPlan, plan_predict
from volproc.volume.metadata import new_volume
from volproc.volume.store import Volume, create_volume, open_volume

SHAPE = (64, 448, 448)
PADDED = (64, 896, 896)
BLOCK = (64, 128, 128)
DEVIATIONS = (0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
Voxels = npt.NDArray[np.bool_]
SERIAL = ClusterOptions(kind="serial")


def padded_phantom(folder: Path, *, seed: int, density: float) -> tuple[Volume, Voxels]:
    """A phantom of 50 nm voxels in the corner of a volume of zeros; where its nuclei are."""
    inner = str(folder / f"phantom-{seed}-{density}.zarr")
    options = PhantomOptions(
        shape=SHAPE, voxel_nm=(50.0, 50.0, 50.0), seed=seed, cell_density=density
    )
    volproc.phantom(inner, options, cluster=SERIAL)
    phantom = open_volume(inner)
    info = new_volume(
        inner.replace("phantom", "padded"),
        shape=PADDED,
        voxel_nm=phantom.info.voxel_nm,
        dtype="uint8",
        max_levels=1,
    )
    made = create_volume(info, step="benchmark", digest=f"{seed}-{density}", version="0")
    values = np.zeros(PADDED, np.uint8)
    values[phantom.info.box.slices] = phantom.read(phantom.info.box)
    made.write(info.box, values)
    truth = np.zeros(PADDED, bool)
    truth[phantom.info.box.slices] = open_volume(f"{inner}/labels/nuclei").read(phantom.info.box)
    return made.finish(), truth


def by_block(image: Volume, truth: Voxels, plan: PredictPlan) -> list[tuple[float, int, int]]:
    """Of every block: deviations from which it is skipped, voxels some axis wants, true ones."""
    assert plan.votes is not None
    votes = open_volume(plan.votes.url)
    sample = volume_sample(image)
    rules = [
        (n, emptiness(image.info, plan.output.voxel_nm, sample, deviations=n)) for n in DEVIATIONS
    ]
    found = []
    for block in plan.blocks:
        window = plan.layout.window(block.core, plan.options.axes)
        yes = (votes.read(block.core) >= 128).any(axis=0)
        from_on = next((n for n, rule in rules if rule and rule.holds(window, image)), np.inf)
        found.append((from_on, int(yes.sum()), int((yes & truth[block.core.slices]).sum())))
    return found


def main() -> None:
    """Print a row per phantom and setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--densities", type=float, nargs="+", default=[0.1, 0.2, 0.4])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    print("density seed   skip   blocks skipped   foreground there, of all   true ones, of all")
    for density, seed in product(given.densities, given.seeds):
        image, truth = padded_phantom(given.folder, seed=seed, density=density)
        out = str(given.folder / f"out-{seed}-{density}.zarr")
        votes = out.replace("out", "votes")
        options = PredictOptions(block=BLOCK, tile=BLOCK)
        volproc.predict(image.info.url, out, options, votes=votes, cluster=SERIAL)
        plan = plan_predict(image.info, out, options, votes_url=votes, identity=image.identity)
        blocks = by_block(image, truth, plan)
        for n in DEVIATIONS:
            skipped = [block for block in blocks if block[0] <= n]
            cells = [f"{len(skipped)} of {len(blocks)}"]
            for part in (1, 2):
                lost, total = (sum(block[part] for block in some) for some in (skipped, blocks))
                cells.append(f"{lost} of {total}")
            print(f"{density:7} {seed:4} {n:6} {cells[0]:>16} {cells[1]:>24} {cells[2]:>19}")


if __name__ == "__main__":
    main()
