"""How models mark nuclei of a real cell: Dice, holes in them, and what becomes of invaginations.

    python benchmarks/nucleus_shape.py DATA FOLDER MODEL... [--slices 150 300] [--real-only]

Phantoms that no model learnt from, and the real cell. DATA holds hela-roi329/ as
benchmarks/real_cell.py has it; volumes and votes are kept in FOLDER. A MODEL is a model's folder or
a shipped name. At 50 nm, lost pixels filled, each slice brought to one mean and spread, votes
averaged over three axes and cut at 0.5. A hole is background that nuclei enclose in 3D, a pocket
what they enclose in a slice; an invagination is what a disc of 400 nm closes in the truth's slices.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
from real_cell import EXACT, NUCLEUS, filled
from saved_volume import saved
from scipy import ndimage
from torch.nn.functional import interpolate

import volproc
from volproc.config.cluster import ClusterOptions
from volproc.grid.box import whole_box
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.phantom.look import look_of
from volproc.stages.phantom.render import render
from volproc.stages.phantom.scene_layout import make_scene

UM3 = 0.05**3
"""Of a voxel."""
DISC_PIXELS = 8
PHANTOMS = [("hela", 301), ("varied", 302), ("varied", 303), ("varied", 304)]


NM = parse_voxel_nm((50, 50, 50))


@dataclass(frozen=True)
class Case:
    """A volume at 50 nm, uint8, and its nuclei."""

    name: str
    image: np.ndarray
    truth: np.ndarray
    exact: tuple[int, ...] = ()
    """Slices in which every pixel is exact."""


@dataclass(frozen=True)
class Shape:
    """Enclosed background of a mask."""

    holes: int
    holes_um3: float
    pockets: int
    pockets_um3: float


def enclosed(mask: np.ndarray) -> tuple[int, np.ndarray]:
    """Components of the background that do not reach the border: how many, and where."""
    labels, count = ndimage.label(~mask)
    faces = [np.take(labels, end, axis) for axis in range(mask.ndim) for end in (0, -1)]
    outside = np.unique(np.concatenate([face.ravel() for face in faces]))
    inside = np.setdiff1d(np.arange(1, count + 1), outside)
    return len(inside), np.isin(labels, inside)


def shape_of(mask: np.ndarray) -> Shape:
    holes, where = enclosed(mask)
    planes = [enclosed(plane) for plane in mask]
    pockets = sum(found.sum() for _, found in planes)
    count = sum(n for n, _ in planes)
    return Shape(holes, float(where.sum() * UM3), count, float(pockets * UM3))


def invaginations(truth: np.ndarray) -> np.ndarray:
    """What a disc closes in each slice, the border of the volume left out."""
    rows, columns = np.ogrid[-DISC_PIXELS : DISC_PIXELS + 1, -DISC_PIXELS : DISC_PIXELS + 1]
    disc = rows**2 + columns**2 <= DISC_PIXELS**2
    wide = np.pad(truth, ((0, 0), *((DISC_PIXELS, DISC_PIXELS),) * 2), mode="edge")
    closed = np.stack([ndimage.binary_closing(plane, disc) for plane in wide])
    inner = slice(DISC_PIXELS, -DISC_PIXELS)
    return closed[:, inner, inner] & ~truth


def at_50_nm(image: np.ndarray) -> np.ndarray:
    """Pixels of 40 nm as those of 50 nm, uint8."""
    planes = torch.from_numpy(image.astype(np.float32))[:, None]
    small = interpolate(planes, scale_factor=0.8, mode="bilinear", antialias=True)
    return small[:, 0].round().clamp(0, 255).numpy().astype(np.uint8)


def real_cell(data: Path, first: int, stop: int) -> Case:
    slices = slice(first, stop)
    image, lost = (
        tifffile.imread(data / name)[slices] for name in ("raw_40nm.tif", "lost_mask.tif")
    )
    smooth = filled(image, lost > 0).astype(np.float32)
    mean, spread = (f(smooth, axis=(1, 2), keepdims=True) for f in (np.mean, np.std))
    even = np.clip(np.rint((smooth - mean) / spread * 31 + 178), 0, 254).astype(np.uint8)
    labels = tifffile.imread(data / "labels4_multinuclei_10nm.tif")[slices]
    z, y, x = labels.shape
    share = np.isin(labels, NUCLEUS).reshape(z, y // 5, 5, x // 5, 5).mean((2, 4))
    exact = tuple(z - first for z in EXACT if first <= z < stop)
    name = f"real cell, slices {first} to {stop - 1}"
    return Case(name, at_50_nm(even), share >= 0.5, exact)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))


def votes_of(model: str, case: Case, folder: Path) -> np.ndarray:
    """Probabilities (3, z, y, x) along z, y and x."""
    image = saved(folder / "image.zarr", case.image, NM, kind="image")
    name = model.strip("./").replace("/", "-")
    out, votes = (str(folder / f"{name}{end}.zarr") for end in ("", "-votes"))
    how = {"cluster": ClusterOptions(kind="serial"), "progress": False}
    volproc.predict(image, out, model=model, votes=votes, axes="zyx", **how)
    made = volproc.open_volume(votes)
    return made.read(made.info.box)[::-1] / np.float32(255)


def row(name: str, case: Case, votes: np.ndarray) -> str:
    truth = case.truth
    mask = np.mean(votes, axis=0) > 0.5
    shape, folds = shape_of(mask), invaginations(truth)
    numbers = [dice(mask, truth), *(dice(vote > 0.5, truth) for vote in votes)]
    numbers += [dice(mask[z], truth[z]) for z in case.exact]
    numbers += [(mask & truth).sum() / mask.sum(), (mask & truth).sum() / truth.sum()]
    cells = [f"{number:.3f}" for number in (*numbers, (~mask & folds).sum() / folds.sum())]
    cells += [
        f"{shape.holes} ({shape.holes_um3:.2f})",
        f"{shape.pockets} ({shape.pockets_um3:.2f})",
    ]
    return f"| {name} | {' | '.join(cells)} |"


def phantom(look: str, seed: int) -> Case:
    """A phantom of 4.8 x 16 x 16 µm that no model learnt from."""
    shape, chosen = (96, 320, 320), look_of(look, seed=seed, given={})
    image, truth = render(make_scene(shape, NM, seed=seed, look=chosen), whole_box(shape))
    return Case(f"phantom {seed}, {look}", image, truth > 0)


def table(case: Case, models: list[str], folder: Path) -> None:
    truth = shape_of(case.truth)
    heads = ["model", "Dice", "along z", "along y", "along x"]
    heads += [f"exact slice {n + 1}" for n in range(len(case.exact))]
    heads += ["precision", "recall", "invaginations open"]
    heads += [f"holes (µm³), truth {truth.holes} ({truth.holes_um3:.2f})"]
    heads += [f"pockets (µm³), truth {truth.pockets} ({truth.pockets_um3:.2f})"]
    print(f"\n{case.name}\n\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for model in models:
        print(row(model, case, votes_of(model, case, folder)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--slices", type=int, nargs=2, default=(150, 300))
    parser.add_argument("--real-only", action="store_true")
    given = parser.parse_args()
    cases = [] if given.real_only else [phantom(look, seed) for look, seed in PHANTOMS]
    for case in (*cases, real_cell(given.data / "hela-roi329", *given.slices)):
        table(case, given.models, given.folder / case.name.replace(" ", "-").replace(",", ""))


if __name__ == "__main__":
    main()
