"""How models mark nuclei of a real cell: Dice, holes in them, and what becomes of invaginations.

    python benchmarks/nucleus_shape.py DATA MODEL... [--slices 150 300]

Phantoms that no model learnt from, and the real cell. DATA holds hela-roi329/ as
benchmarks/real_cell.py has it. A MODEL is a folder, a shipped name or a training's checkpoint.pt.
In memory, at 50 nm, lost pixels filled, each slice brought to one mean and spread, votes averaged
over three axes and cut at 0.5. A hole is background that nuclei enclose in 3D, a pocket what they
enclose in a slice; an invagination is what a disc of 400 nm closes in the truth's slices.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
from real_cell import EXACT, NUCLEUS, filled
from scipy import ndimage
from torch.nn.functional import interpolate

from volproc.grid.box import whole_box
from volproc.grid.scale import parse_voxel_nm
from volproc.model.model_folder import model_folder
from volproc.model.normalisation import constants_from
from volproc.model.unet import UNet
from volproc.model.unet_spec import UNetSpec
from volproc.model.weights import load_model
from volproc.stages.phantom.look import look_of
from volproc.stages.phantom.render import render
from volproc.stages.phantom.scene_layout import make_scene
from volproc.stages.train.pairs import Pair, pair_of
from volproc.stages.train.validation import predicted

UM3 = 0.05**3
"""Of a voxel."""
DISC_PIXELS = 8
PHANTOMS = [("hela", 301), ("varied", 302), ("varied", 303), ("varied", 304)]


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


def real_cell(data: Path, slices: slice) -> Pair:
    image, lost = (
        tifffile.imread(data / name)[slices] for name in ("raw_40nm.tif", "lost_mask.tif")
    )
    smooth = filled(image, lost > 0).astype(np.float32)
    mean, spread = (f(smooth, axis=(1, 2), keepdims=True) for f in (np.mean, np.std))
    even = np.clip(np.rint((smooth - mean) / spread * 31 + 178), 0, 254).astype(np.uint8)
    labels = tifffile.imread(data / "labels4_multinuclei_10nm.tif")[slices]
    z, y, x = labels.shape
    share = np.isin(labels, NUCLEUS).reshape(z, y // 5, 5, x // 5, 5).mean((2, 4))
    small = at_50_nm(even)
    return pair_of(small, share >= 0.5, normalisation=constants_from(small))


def network_of(model: str) -> UNet:
    if not model.endswith(".pt"):
        network, _ = load_model(model_folder(model))
        assert isinstance(network, UNet)
        return network.eval()
    network = UNet(UNetSpec(slices_in=12, slices_out=8))
    network.load_state_dict(torch.load(model, weights_only=True)["average"])
    return network.eval()


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))


def votes_of(network: UNet, pair: Pair) -> list[np.ndarray]:
    return [
        torch.sigmoid(predicted(network, pair, axis)).movedim(0, axis).numpy() for axis in range(3)
    ]


def row(name: str, pair: Pair, votes: list[np.ndarray], exact: list[int]) -> str:
    truth = pair.ground_truth
    mask = np.mean(votes, axis=0) > 0.5
    shape, folds = shape_of(mask), invaginations(truth)
    numbers = [dice(mask, truth), *(dice(vote > 0.5, truth) for vote in votes)]
    numbers += [dice(mask[z], truth[z]) for z in exact]
    numbers += [(mask & truth).sum() / mask.sum(), (mask & truth).sum() / truth.sum()]
    cells = [f"{number:.3f}" for number in (*numbers, (~mask & folds).sum() / folds.sum())]
    cells += [
        f"{shape.holes} ({shape.holes_um3:.2f})",
        f"{shape.pockets} ({shape.pockets_um3:.2f})",
    ]
    return f"| {name} | {' | '.join(cells)} |"


def phantom(look: str, seed: int) -> Pair:
    """A phantom of 4.8 x 16 x 16 µm that no model learnt from."""
    shape, chosen = (96, 320, 320), look_of(look, seed=seed, given={})
    scene = make_scene(shape, parse_voxel_nm((50, 50, 50)), seed=seed, look=chosen)
    image, truth = render(scene, whole_box(shape))
    return pair_of(image, truth, normalisation=constants_from(image))


def table(title: str, pair: Pair, networks: dict[str, UNet], exact: list[int]) -> None:
    truth = shape_of(pair.ground_truth)
    heads = ["model", "Dice", "along z", "along y", "along x"]
    heads += [f"exact slice {n + 1}" for n in range(len(exact))]
    heads += ["precision", "recall", "invaginations open"]
    heads += [f"holes (µm³), truth {truth.holes} ({truth.holes_um3:.2f})"]
    heads += [f"pockets (µm³), truth {truth.pockets} ({truth.pockets_um3:.2f})"]
    print(f"\n{title}\n\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for name, network in networks.items():
        print(row(name, pair, votes_of(network, pair), exact), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--slices", type=int, nargs=2, default=(150, 300))
    given = parser.parse_args()
    networks = {model: network_of(model) for model in given.models}
    for look, seed in PHANTOMS:
        table(f"phantom {seed}, {look}", phantom(look, seed), networks, [])
    first, stop = given.slices
    pair = real_cell(given.data / "hela-roi329", slice(first, stop))
    exact = [z - first for z in EXACT if first <= z < stop]
    table(f"real cell, slices {first} to {stop - 1}", pair, networks, exact)


if __name__ == "__main__":
    main()
