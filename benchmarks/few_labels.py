"""How good a model gets from 1, 5, 10, 20 labelled slices: which slices, and from where it starts.

    python benchmarks/few_labels.py OUT MODEL IMAGE LABELS TEST_IMAGE TEST_LABELS
        [--counts 1 5 10 20] [--steps 150] [--seed 0] [--slices 0 10 --test-slices 10 14]
        [--voxel-nm 50 4.6 4.6]

Slices of IMAGE are chosen at random, or those in which the votes of MODEL along the three axes
are furthest apart ("disputed"); the labels of all others are ignored. With --voxel-nm MODEL goes on
at another voxel size, and its votes there say nothing: then those slices are disputed of which the
model that went on from one slice is least certain. From each choice two models
are trained with the options of `few`: one goes on from MODEL, one begins with random weights and
the rate of a training from scratch. Scores are the Dice of the mean of three axes on the test.
What is in OUT is not trained again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from saved_volume import saved_in

import volproc
from volproc.stages.train.data_options import DataOptions

SERIAL: dict[str, Any] = {"cluster": volproc.ClusterOptions(kind="serial"), "progress": False}


def slices_by_dispute(out: Path, model: str, image: str, slices: range) -> list[int]:
    """The slices, the one first in which the votes of the axes are furthest apart; along a single
    axis, the one of which it is least certain."""
    votes = str(out / "votes.zarr")
    volproc.predict(image, str(out / "prediction.zarr"), model=model, votes=votes, **SERIAL)
    volume = volproc.open_volume(votes)
    values = volume.read(volume.info.box).astype(int)
    several = values.ndim == 4 and len(values) > 1
    apart = values.max(0) - values.min(0) if several else 255 - abs(2 * values - 255)
    apart = apart.reshape(-1, *apart.shape[-2:]).mean((1, 2))
    return sorted(slices, key=lambda z: -apart[z])


def all_but(path: Path, slices: list[int], labels: Any) -> str:
    """A volume that is 1 where labels are ignored: everywhere but in `slices`."""
    ignored = np.ones(labels.info.shape, np.uint8)
    ignored[slices] = 0
    return saved_in(path, ignored, labels)


def score(asked: argparse.Namespace, name: str, ignore: str, **how: Any) -> float:
    """The Dice on the test of a model that was trained so."""
    card = volproc.load_card(asked.model)
    spec = {name: getattr(card.spec, name) for name in ("slices_in", "slices_out", "widths")}
    options = volproc.TrainOptions(
        few=True,
        voxel_nm=tuple(asked.voxel_nm or card.voxel_nm),
        patch=asked.patch,
        steps=asked.steps,
        validate_steps=asked.steps,
        data=(
            DataOptions(
                image=asked.image, labels=asked.labels, ignore=ignore, box=box_of(asked.slices)
            ),
        ),
        validation=(
            DataOptions(
                image=asked.test_image, labels=asked.test_labels, box=box_of(asked.test_slices)
            ),
        ),
        model_out=str(asked.out / name),
        **(spec | how),
    )
    return float(volproc.train(options, **SERIAL).scores["validation dice"])


def box_of(slices: list[int] | None) -> str:
    """These slices, all of them if None, as [[train.data]] box has them."""
    return "{}:{},:,:".format(*slices) if slices else ""


def main() -> None:
    """Print a row for each choice of slices."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("out", type=Path)
    for name in ("model", "image", "labels", "test_image", "test_labels"):
        ask.add_argument(name)
    ask.add_argument("--counts", type=int, nargs="+", default=[1, 5, 10, 20])
    ask.add_argument("--steps", type=int, default=150)
    ask.add_argument("--patch", type=int, default=192)
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--slices", type=int, nargs=2)
    ask.add_argument("--test-slices", type=int, nargs=2)
    ask.add_argument("--voxel-nm", type=float, nargs=3)
    asked = ask.parse_args()
    labels = volproc.open_volume(asked.labels)
    slices = range(*(asked.slices or (0, labels.info.shape[0])))
    drawn = [int(z) for z in np.random.default_rng(asked.seed).permutation(slices)]
    if not asked.voxel_nm:
        disputed = slices_by_dispute(asked.out, asked.model, asked.image, slices)
    print("| slices | chosen | goes on | from scratch |\n|---|---|---|---|", flush=True)
    for count in asked.counts:
        for how in ("at random", "disputed"):
            name = f"{count}-{how.replace(' ', '-')}"
            order = drawn if how == "at random" else disputed
            ignore = all_but(asked.out / f"{name}-ignored.zarr", order[:count], labels)
            on = score(asked, f"{name}-on", ignore, start_from=asked.model)
            new = score(asked, f"{name}-new", ignore, start_from="", learning_rate=2e-3)
            print(f"| {count} | {how} | {on:.3f} | {new:.3f} |", flush=True)
            if asked.voxel_nm and how == "at random" and count == asked.counts[0]:
                model = str(asked.out / f"{name}-on")
                disputed = slices_by_dispute(asked.out, model, asked.image, slices)


if __name__ == "__main__":
    main()
