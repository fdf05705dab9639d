"""docs/images/augmentation.jpg: one patch, and what each kind of augmentation makes of it.

    python benchmarks/augmentation_pictures.py DATA docs/images/augmentation.jpg

DATA holds fib25/raw.tif and bodies.tif (FIB-25, Takemura et al. 2015, CC BY). Red are the membranes
that the network is to find. What happens to sections is shown in a view along y, where a section
is a row; strengths are those of `cross-microscope` (curves, and sections that are missing or
shifted, more often and by more voxels), and of 12 draws the one that changes most. A section that
is repeated looks in one view like its neighbour.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import tifffile
import torch
from PIL import Image, ImageDraw

from volproc.grid.scale import parse_voxel_nm
from volproc.model.unet_spec import UNetSpec
from volproc.stages.train.augmentation.augmenter import Augmenter
from volproc.stages.train.augmentation.options import AugmentationOptions
from volproc.stages.train.batch import Batch, RawPatches

SIDE, CAPTION, COLUMNS = 150, 16, 5
DRAWS = 12
SPEC = UNetSpec(12, 8)
STRONG = AugmentationOptions(profile="cross-microscope")
ALONG_Z = {
    "none": {},
    "flips": {"flips": True},
    "scale": {"warp": 1, "scale": STRONG.scale, "rotation_degrees": 0, "bend_voxels": 0},
    "rotation_degrees": {"warp": 1, "scale": 0, "bend_voxels": 0},
    "bend_voxels": {"warp": 1, "scale": 0, "rotation_degrees": 0, "bend_voxels": 6},
    **{name: {name: getattr(STRONG, name)} for name in ("brightness", "contrast", "gamma")},
    "blur": {"blur": 1, "blur_voxels": STRONG.blur_voxels},
    "noise: gauss, shot": {"noise": 1, "gauss": STRONG.gauss, "shot": STRONG.shot},
    "charging": {"charging": 1},
    "curves": {"curves": 1},
}
ALONG_Y = {
    "section_brightness": {"section_brightness": 0.12, "section_contrast": 0.08},
    "missing": {"missing": 1},
    "shifted": {"shifted": 1, "shift_voxels": 6},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("picture", type=Path)
    args = parser.parse_args()
    raw, bodies = (tifffile.imread(args.data / "fib25" / f"{n}.tif") for n in ("raw", "bodies"))
    membranes = membranes_of(bodies)
    tiles = [
        tile(name, most_changed(patch_of(raw, membranes, axis), options))
        for axis, kinds in ((0, ALONG_Z), (1, ALONG_Y))
        for name, options in kinds.items()
    ]
    rows = [np.hstack(tiles[n : n + COLUMNS]) for n in range(0, len(tiles), COLUMNS)]
    Image.fromarray(np.vstack(rows)).save(args.picture, quality=80)


def membranes_of(bodies: np.ndarray) -> np.ndarray:
    """Where the next voxel along an axis belongs to another body."""
    found = np.zeros(bodies.shape, np.uint8)
    for axis in range(3):
        differ = np.diff(bodies.astype(np.int64), axis=axis) != 0
        found[tuple(slice(0, n) for n in differ.shape)][differ] = 255
    return found


def patch_of(raw: np.ndarray, membranes: np.ndarray, axis: int) -> RawPatches:
    cut = tuple(slice(60, 72) if a == axis else slice(5, 5 + SIDE) for a in range(3))
    image, target = (
        torch.from_numpy(np.moveaxis(v[cut], axis, 0).copy()) for v in (raw, membranes)
    )
    mean, std = (torch.tensor([float(value)]) for value in (raw.mean(), raw.std()))
    full = torch.full((1, 1, *target.shape), 255, dtype=torch.uint8)
    return RawPatches(image[None], mean, std, target[None, None], full, (axis,), 0)


def most_changed(raw: RawPatches, options: dict) -> Batch:
    """Of some draws the one whose middle slice differs most from the patch as it is."""
    changes = AugmentationOptions(profile="none", **options)
    augmenter = Augmenter(changes, SPEC, 0, parse_voxel_nm((10, 10, 10)))
    fields = raw.planes, raw.mean, raw.std, raw.target, raw.weight, raw.axes
    drawn = [augmenter(RawPatches(*fields, step)) for step in range(DRAWS)]
    plain = (raw.planes - raw.mean) / raw.std
    return max(drawn, key=lambda batch: float((batch.planes - plain)[0, 6].abs().mean()))


def tile(name: str, batch: Batch) -> np.ndarray:
    """(height, width, 3): the middle slice, the membranes' outline, and a caption."""
    grey = (batch.planes[0, 6].numpy() * 45 + 128).clip(0, 255).astype(np.uint8)
    picture = np.repeat(grey[..., None], 3, axis=2)
    inside = batch.target[0, 0, 4].numpy() > 0.5
    picture[inside] = picture[inside] // 2 + np.array([110, 0, 0], np.uint8)
    framed = np.full((SIDE + CAPTION, SIDE + 4, 3), 255, np.uint8)
    framed[CAPTION:-2, 2:-2] = picture[: SIDE - 2]
    canvas = Image.fromarray(framed)
    ImageDraw.Draw(canvas).text((3, 2), name, fill="black")
    return np.asarray(canvas)


if __name__ == "__main__":
    main()
