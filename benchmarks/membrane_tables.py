"""Scores of a membrane network along each axis and fused, on a box that it did not learn from.

    python benchmarks/membrane_tables.py OUT MODEL IMAGE LABELS --box 128:160,:,: --width-nm 40
        [--inside inside] [--tolerance-nm 10] [--axes zyx]

Without --width-nm LABELS are the membranes themselves; with it they are bodies, and membranes what
lies between two of them. Boundary F and Dice are `evaluate`'s, of the votes and of every fusion.
With --inside, a class of the model, its components at three thresholds are scored as bodies, too:
adapted Rand error, VOI and PQ. Everything is kept in OUT; a second start makes nothing again.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from saved_volume import saved_in

import volproc
from volproc.fusion import FUSIONS, fuse
from volproc.grid.crop import box_in
from volproc.stages.train.data_options import TargetOptions
from volproc.stages.train.targets import target_of
from volproc.volume.channels import votes_of_class

SERIAL: dict[str, Any] = {"cluster": volproc.ClusterOptions(kind="serial"), "progress": False}
THRESHOLDS = 0.5, 0.7, 0.9


def body_rows(asked: argparse.Namespace, votes: Any, bodies: str, box: Any, like: Any) -> None:
    """Components of a class against bodies, of each axis and fusion."""
    print("| | from | adapted Rand error | VOI split | VOI merge | PQ |\n|---|---|---|---|---|---|")
    of_class = votes_of_class(votes.info, asked.inside, option="--inside")
    values = volproc.Volume(of_class).read(of_class.box)
    answers = dict(zip(of_class.channels or asked.axes, values, strict=True))
    for fusion in FUSIONS if len(values) > 1 else ():
        for threshold in THRESHOLDS if fusion not in ("mean", "max") else (0.5,):
            name = f"{fusion} {threshold}" if fusion not in ("mean", "max") else fusion
            answers[name] = fuse(values, mode=fusion, threshold=threshold)
    for name, answer in answers.items():
        many = THRESHOLDS if set(np.unique(answer)) - {0, 255} else (0.5,)
        rows = [body_row(asked, f"{name}", answer, t, bodies, box, like) for t in many]
        print(min(rows)[1], flush=True)


def body_row(
    asked: argparse.Namespace, name: str, answer: Any, at: float, bodies: str, box: Any, like: Any
) -> tuple[float, str]:
    """Adapted Rand error, and a row of the table."""
    stem = f"{name.replace(' ', '-')}-{at}"
    mask = saved_in(
        asked.out / f"{stem}-mask.zarr",
        (answer >= at * 255).astype(np.uint8),
        like,
        start=box.start,
    )
    found = str(asked.out / f"{stem}-objects.zarr")
    how: dict[str, Any] = {"connectivity": 6, "min_volume_um3": 1e-4}
    volproc.label(mask, found, **how, **SERIAL)
    objects = volproc.evaluate(found, bodies, surfaces="none", **SERIAL).scores[0].objects
    numbers = [objects[k] for k in ("adapted_rand_error", "voi_split", "voi_merge", "pq")]
    return numbers[0], f"| {name} | {at} | {' | '.join(f'{n:.3f}' for n in numbers)} |"


def membrane_rows(asked: argparse.Namespace, votes: str, truth: str) -> None:
    """Boundary F and Dice of each axis and fusion."""
    print("| | boundary F | Dice |\n|---|---|---|")
    near = {"tolerances_nm": (asked.tolerance_nm,), "most_distance_nm": 100.0}
    near["object_class"] = asked.object_class
    near["surfaces"] = "2d" if asked.axes == "z" else "3d"
    for score in volproc.evaluate(votes, truth, **near, **SERIAL).scores:
        row = score.surfaces[near["surfaces"]]
        f = next(value for name, value in row.items() if name.startswith("bf_"))
        print(f"| {score.name} | {f:.3f} | {score.whole.dice:.3f} |", flush=True)


def main() -> None:
    """Print both tables."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("out", type=Path)
    for name in ("model", "image", "labels"):
        ask.add_argument(name)
    ask.add_argument("--box", required=True)
    ask.add_argument("--axes", default="zyx")
    ask.add_argument("--object-class", default="membrane")
    ask.add_argument("--inside", default="")
    ask.add_argument("--width-nm", type=float)
    ask.add_argument("--background", action="store_true")
    ask.add_argument("--tolerance-nm", type=float, default=10.0)
    asked = ask.parse_args()
    image, labels = volproc.open_volume(asked.image), volproc.open_volume(asked.labels)
    box = box_in(asked.box, labels.info.shape, labels.info.voxel_nm)
    known = labels.read(labels.info.box)
    here = tuple(slice(a, b) for a, b in zip(box.start, box.stop, strict=True))
    if asked.width_nm:
        target = {"made_from": "borders", "width_nm": asked.width_nm}
        options = TargetOptions(**target, background=asked.background)
        membranes = target_of(known, options, labels.info.voxel_nm) > 0
    else:
        membranes = known > 0
    truth = saved_in(
        asked.out / "truth.zarr", membranes[here].astype(np.uint8), labels, start=box.start
    )
    began = time.process_time()
    votes = str(asked.out / "votes.zarr")
    how = {"model": asked.model, "votes": votes, "box": asked.box, "axes": asked.axes}
    volproc.predict(image, str(asked.out / "prediction.zarr"), **how, **SERIAL)
    print(f"predict: {time.process_time() - began:.0f} CPU s\n")
    membrane_rows(asked, votes, truth)
    if asked.inside:
        bodies = saved_in(asked.out / "bodies.zarr", known[here], labels, start=box.start)
        body_rows(asked, volproc.open_volume(votes), bodies, box, labels)


if __name__ == "__main__":
    main()
