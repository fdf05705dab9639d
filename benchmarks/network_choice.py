"""Which U-Net for the same data and steps: Dice against FLOP per voxel.

    python benchmarks/network_choice.py OUT --steps 3000                # on phantoms made here
    python benchmarks/network_choice.py OUT --train IMAGE LABELS --test IMAGE LABELS
    python benchmarks/network_choice.py OUT --only concat default      # some of them

Every candidate learns from the same patches (same seed); its Dice is that of each axis by itself,
on the test image. FLOP are those of planes without a halo, and of 512 x 512 pixels with theirs.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import volproc
from volproc.stages.train.network_choice import spec_of

CANDIDATES: dict[str, dict[str, Any]] = {
    # skips are added, not put beside: the decoder's convolutions read half as many channels
    "default": {},
    # that of nuclei-50nm
    "concat": {"widths": (32, 64, 96, 128), "skips": "concat"},
    # more planes for nearly the same work: 16 of 20 instead of 8 of 12
    "more_planes": {"slices_in": 20, "slices_out": 16},
    "residual_add": {"widths": (24, 48, 80, 112), "block": "residual", "skips": "add"},
    # 3x3 within channels and 1x1 across: wider, and deep levels cost next to nothing
    "separable": {"widths": (40, 96, 160, 224), "block": "separable"},
    # coarser stem, no fourth level: the same reach
    "stem4": {"widths": (48, 96, 128), "stem": 4, "skips": "add"},
    "narrow": {"widths": (24, 40, 64, 96)},
}
SERIAL = volproc.ClusterOptions(kind="serial")
SIDE = 512


def kflop(options: volproc.TrainOptions, *, halo: bool) -> float:
    """Thousand floating-point operations per predicted voxel and axis."""
    spec = spec_of(options, classes=1)
    side = SIDE + 2 * spec.halo * halo
    return spec.flop(side, side, (SIDE, SIDE)) / SIDE**2 / spec.slices_out / 1000


def phantoms(folder: Path, side: int) -> list[tuple[str, str]]:
    """An image and its labels to learn from, and others to test on, at 50 nm."""
    found = []
    for seed in (1, 2):
        place = folder / f"phantom-{seed}.zarr"
        shape = (side // 2, side, side)
        how = volproc.PhantomOptions(shape=shape, voxel_nm=(50, 50, 50), seed=seed)
        volproc.phantom(place, how, cluster=SERIAL, progress=False)
        found.append((str(place), str(place / "labels" / "nuclei")))
    return found


def trained(name: str, folder: Path, how: dict[str, Any]) -> dict[str, Any]:
    """A candidate's row: what it costs, and its Dice after the steps."""
    model = folder / name
    options = volproc.TrainOptions(**CANDIDATES[name] | how, model_out=str(model), name=name)
    begun = time.process_time()
    card = volproc.train(options, progress=False, cluster=SERIAL)
    return {
        "network": name,
        "kflop": round(kflop(options, halo=False), 2),
        "kflop_with_halo": round(kflop(options, halo=True), 2),
        "halo": card.spec.halo,
        "cpu_s": round(time.process_time() - begun),
        **{key.removeprefix("validation "): value for key, value in card.scores.items()},
    }


def main() -> None:
    """Train each candidate and print its row; a candidate that is done is not trained again."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("out", type=Path)
    ask.add_argument("--only", nargs="+", default=list(CANDIDATES), choices=list(CANDIDATES))
    ask.add_argument("--train", nargs=2, metavar=("IMAGE", "LABELS"))
    ask.add_argument("--test", nargs=2, metavar=("IMAGE", "LABELS"))
    ask.add_argument("--side", type=int, default=512, help="pixels of the phantoms' sides")
    ask.add_argument("--steps", type=int, default=3000)
    ask.add_argument("--patch", type=int, default=192)
    ask.add_argument("--batch", type=int, default=8)
    given = ask.parse_args()
    made = [] if given.train and given.test else phantoms(given.out, given.side)
    learn, test = given.train or made[0], given.test or made[1]
    how = {
        **{"images": (learn[0],), "labels": (learn[1],)},
        **{"validation_images": (test[0],), "validation_labels": (test[1],)},
        **{"steps": given.steps, "patch": given.patch, "batch": given.batch},
        **{"validate_steps": given.steps},
    }
    for name in given.only:
        print(json.dumps(trained(name, given.out, how)), flush=True)


if __name__ == "__main__":
    main()
