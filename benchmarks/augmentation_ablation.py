"""What each kind of augmentation is worth: one small network, trained with and without it.

    python benchmarks/augmentation_ablation.py DATA FOLDER [--only fib25 hela] [--steps 300]
        [--widths 16 32 48] [--patch 96] [--batch 8] [--seeds 0] [--profile em]
        [--variants none flips em ...] [--spoilt]

DATA holds fib25/raw.tif and bodies.tif (membranes between bodies, 10 nm), and hela-roi329/ with
raw_40nm.tif, labels5_40nm.tif and lost_mask.tif (nuclei, at 50 nm). Of both volumes the first
sections are learnt from and the last ones scored. Variants, every one with the same network,
steps, seed and patches:

    none         patches are normalised
    flips        none, with mirroring and quarter turns
    em           the profile; light and cross-microscope: those
    em - KIND    the profile without one kind
    flips + KIND flips with one kind, as strong as in the profile

Scores are the Dice of the hold-out, the mean of the axes; with --spoilt also that of the fused
prediction of its first sections as they are, darker (greys to the power of 2), noisier and blurred,
as another microscope might show them, and damaged: every sixth section is black, shifted, the one
before it, or has charged up in stripes. FOLDER/ablation.csv and ablation.md are
written after every training; the same command goes on where it was stopped. A difference is one if
it is larger than that between seeds: give more than one.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from saved_volume import saved
from scipy.ndimage import gaussian_filter

import volproc
from volproc.grid.box import Box
from volproc.stages.train.augmentation.options import AugmentationOptions

KINDS = {
    **{kind: (kind,) for kind in ("brightness", "contrast", "gamma")},
    "section shading": ("section_brightness", "section_contrast"),
    **{kind: (kind,) for kind in ("missing", "repeated", "shifted", "charging")},
    **{kind: (kind,) for kind in ("scale", "rotation_degrees", "bend_voxels")},
    **{kind: (kind,) for kind in ("blur", "gauss", "shot", "curves")},
}
"""The options that are 0 without a kind."""
CARRIED = {"scale": "warp", "rotation_degrees": "warp", "bend_voxels": "warp"}
CARRIED |= {"gauss": "noise", "shot": "noise"}
"""Strengths that say nothing without the probability of their kind."""
CURVES = 0.35
"""How often curves are drawn where they are tried: as often as the shipped model saw them."""
SPOILT = ("as it is", "darker", "noisier", "blurred", "damaged")
SPOILT_SECTIONS = 48
DAMAGED_EVERY = 6
FIELDS = ("data", "variant", "seed", "dice", *SPOILT, "seconds")
SERIAL = volproc.ClusterOptions(kind="serial")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=list(VOLUMES), choices=list(VOLUMES))
    parser.add_argument("--profile", default="em")
    parser.add_argument("--variants", nargs="+", default=[])
    parser.add_argument("--spoilt", action="store_true")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--widths", nargs="+", type=int, default=[16, 32, 48])
    for name, default in (("steps", 300), ("patch", 96), ("batch", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    rows: list[dict[str, object]] = []
    found = dict(variants(args.profile))
    for seed in args.seeds:
        for variant in args.variants or found:
            for data in args.only:
                rows.append(trained(args, data, variant, found[variant], seed))
                write(rows, args.folder)
                print(*rows[-1].values(), sep="\t", flush=True)


def variants(profile: str) -> Iterator[tuple[str, AugmentationOptions]]:
    """Names with their options, the ones that say most first."""
    whole = AugmentationOptions(profile=profile)
    flips = AugmentationOptions(profile="none", flips=True)
    yield "none", AugmentationOptions(profile="none")
    yield "flips", flips
    for named in dict.fromkeys((profile, "light", "cross-microscope")):
        yield named, AugmentationOptions(profile=named)
    for kind, options in KINDS.items():
        if kind == "curves":
            yield f"{profile} + curves", whole.model_copy(update={"curves": CURVES})
            continue
        yield f"{profile} - {kind}", whole.model_copy(update=dict.fromkeys(options, 0))
    off = dict.fromkeys(CARRIED, 0)
    for kind, options in KINDS.items():
        asked = {one: getattr(whole, one) for one in options}
        asked |= {CARRIED[one]: getattr(whole, CARRIED[one]) for one in options if one in CARRIED}
        only = flips.model_copy(
            update=off | asked | ({"curves": CURVES} if kind == "curves" else {})
        )
        yield f"flips + {kind}", only


def trained(
    args: argparse.Namespace, data: str, variant: str, options: AugmentationOptions, seed: int
) -> dict[str, object]:
    """A row of the table; a training that is finished is not done again."""
    folder = args.folder / data
    parts = {
        f"{role}{name}": str(folder / f"{part}-{name}.zarr")
        for role, part in (("", "train"), ("validation_", "held-out"))
        for name in ("images", "labels")
    }
    if not (folder / "held-out-labels.zarr").exists():
        for url, values, size in VOLUMES[data](args.data):
            kind = "image" if "images" in url else "labels"
            saved(folder / f"{url}.zarr", values, size, kind=kind)
    before = time.perf_counter()
    model = folder / f"{variant.replace(' ', '')}-{seed}"
    card = volproc.train(
        **{role: (url,) for role, url in parts.items()},
        ignore=(str(folder / "train-ignore.zarr"),) if data == "hela" else (),
        model_out=str(model),
        voxel_nm=50.0 if data == "hela" else 10.0,
        widths=tuple(args.widths),
        skips="concat",
        patch=args.patch,
        batch=args.batch,
        steps=args.steps,
        validate_steps=args.steps,
        checkpoint_steps=args.steps,
        augmentation=options,
        seed=seed,
        progress=False,
    )
    scores = [score for name, score in card.scores.items() if "dice" in name]
    seconds = round(time.perf_counter() - before, 1)
    others = tuple(spoilt_scores(model, folder)) if args.spoilt else ("",) * len(SPOILT)
    values = (data, variant, seed, round(np.mean(scores), 4), *others, seconds)
    return dict(zip(FIELDS, values, strict=True))


def spoilt_scores(model: Path, folder: Path) -> Iterator[float]:
    """Dice of the fused prediction of the hold-out's first sections, for each of SPOILT."""
    greys, labels = (cut(folder / f"held-out-{name}.zarr") for name in ("images", "labels"))
    nm, how = greys[1], {"cluster": SERIAL, "progress": False}
    truth = saved(folder / "spoilt-labels.zarr", labels[0], nm)
    for name in (one.replace(" ", "-") for one in SPOILT):
        url = saved(folder / f"{name}.zarr", spoilt(greys[0], name), nm, kind="image")
        made = volproc.predict(url, f"{model}-{name}.zarr", model=str(model), **how)
        found = volproc.evaluate(made, volproc.EvaluateOptions(ground_truth=truth), **how)
        yield round(float(found.rows()[0]["dice"]), 4)


def cut(path: Path) -> tuple[np.ndarray, Any]:
    """The first sections of a volume, and its voxel size."""
    volume = volproc.open_volume(str(path))
    box = volume.info.box.clip(Box((0, 0, 0), (SPOILT_SECTIONS, *volume.info.shape[1:])))
    return volume.read(box), volume.info.voxel_nm


def spoilt(values: np.ndarray, how: str) -> np.ndarray:
    """The same sections as another microscope might show them."""
    greys = values.astype(np.float32)
    if how == "darker":
        greys = (greys / 255) ** 2 * 255
    elif how == "noisier":
        greys += np.random.default_rng(0).normal(0, 15, greys.shape)
    elif how == "blurred":
        greys = gaussian_filter(greys, 1.5)
    elif how == "damaged":
        for number, z in enumerate(range(DAMAGED_EVERY - 1, len(greys), DAMAGED_EVERY)):
            greys[z] = damaged(greys, z, number % 4)
    return greys.round().clip(0, 255).astype(np.uint8)


def damaged(greys: np.ndarray, z: int, how: int) -> np.ndarray:
    """A section that is black, shifted, the one before it, or has charged up in stripes."""
    if how == 0:
        return np.zeros_like(greys[z])
    if how == 1:
        return np.roll(greys[z], (5, 3), axis=(0, 1))
    if how == 2:
        return greys[z - 1]
    return greys[z] + 60 * (np.arange(greys.shape[1]) % 32 < 8)[:, None]


def fib25(data: Path) -> Iterator[tuple[str, np.ndarray, tuple]]:
    """Sections 0 to 99 and 108 to 159; a membrane is where a neighbour belongs to another body."""
    raw, bodies = (tifffile.imread(data / "fib25" / f"{name}.tif") for name in ("raw", "bodies"))
    membranes = np.zeros(bodies.shape, bool)
    for axis in range(3):
        one, other = (np.moveaxis(array, axis, 0) for array in (bodies, membranes))
        differ = one[1:] != one[:-1]
        other[1:] |= differ
        other[:-1] |= differ
    for part, cut in (("train", slice(0, 100)), ("held-out", slice(108, 160))):
        yield f"{part}-images", raw[cut], (10, 10, 10)
        yield f"{part}-labels", membranes[cut].astype(np.uint8), (10, 10, 10)


def hela(data: Path) -> Iterator[tuple[str, np.ndarray, tuple]]:
    """Sections 0 to 149 and 160 to 299; nuclei with their envelopes; lost voxels do not count."""
    folder = data / "hela-roi329"
    raw, labels, lost = (
        tifffile.imread(folder / f"{name}.tif")
        for name in ("raw_40nm", "labels5_40nm", "lost_mask")
    )
    nuclei = ((labels == 1) | (labels == 2)).astype(np.uint8)
    for part, cut in (("train", slice(0, 150)), ("held-out", slice(160, 300))):
        yield f"{part}-images", raw[cut], (50, 40, 40)
        yield f"{part}-labels", nuclei[cut], (50, 40, 40)
    yield "train-ignore", (lost[:150] > 0).astype(np.uint8), (50, 40, 40)


VOLUMES = {"fib25": fib25, "hela": hela}


def write(rows: list[dict[str, object]], folder: Path) -> None:
    with (folder / "ablation.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, FIELDS)
        table.writeheader()
        table.writerows(rows)
    (folder / "ablation.md").write_text("\n".join(markdown(rows)) + "\n")


def markdown(rows: list[dict[str, object]]) -> Iterator[str]:
    """Means over seeds, and in brackets how far the seeds are apart; empty columns are left out."""
    sets = list(dict.fromkeys(row["data"] for row in rows))
    scores = [one for one in ("dice", *SPOILT) if any(row[one] != "" for row in rows)]
    columns = [(data, score) for data in sets for score in scores]
    yield f"| variant | {' | '.join(f'{data}, {score}' for data, score in columns)} |"
    yield "|---" * (1 + len(columns)) + "|"
    for variant in dict.fromkeys(row["variant"] for row in rows):
        of_variant = [row for row in rows if row["variant"] == variant]
        cells = [
            cell([row[score] for row in of_variant if row["data"] == data])
            for data, score in columns
        ]
        yield f"| {variant} | {' | '.join(cells)} |"


def cell(values: list[Any]) -> str:
    if not values:
        return ""
    apart = f" ({max(values) - min(values):.3f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{apart}"


if __name__ == "__main__":
    main()
