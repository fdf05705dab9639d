"""Does one bad voxel spoil a volume? Dice of the shipped model with outliers, and of thin slabs.

    python benchmarks/outliers.py DATA FOLDER [--parts outliers thin] [--axes zyx]

A phantom of 64 x 192 x 192 voxels of 50 nm, and 48 slices of the cell of DATA/hela-roi329 that no
training saw (nucleus = envelope and inside), each as uint8, uint16 and float32.
Outliers lie at random places: 1 and 254 in uint8, 60000 in uint16, 1e6 and -1e6 in float32. Thin
slabs are the middle slices, scored with all three axes, along z alone, and along y and x.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from planes_kept import real_cell
from saved_volume import saved

import volproc
from volproc import ClusterOptions, EvaluateOptions, PhantomOptions, PredictOptions
from volproc.grid.box import Box
from volproc.volume.metadata import VolumeInfo
from volproc.volume.store import open_volume

SERIAL = ClusterOptions(kind="serial")
COUNTS = (0, 1, 10, 1000)
KINDS: dict[str, tuple[float, tuple[float, ...]]] = {
    "uint8": (1, (254, 1)),
    "uint16": (1, (60000,)),
    "float32": (1, (1e6, -1e6)),
}
"""What grey values are multiplied by, and what outliers are, in turn."""
THIN = (1, 3, 6, 12, 24)
Slab = tuple[str, Any, Any, VolumeInfo]
"""Name, grey values, where the nuclei are, and the image they come from."""


def slabs(data: Path, folder: Path) -> Iterator[Slab]:
    """The two volumes."""
    url = str(folder / "phantom.zarr")
    made = PhantomOptions(shape=(64, 192, 192), voxel_nm=(50.0, 50.0, 50.0), seed=3)
    volproc.phantom(url, made, cluster=SERIAL)
    image, nuclei = open_volume(url), open_volume(f"{url}/labels/nuclei")
    yield "phantom", image.read(image.info.box), nuclei.read(nuclei.info.box) > 0, image.info
    url, scored = real_cell(data, folder)
    image, truth = open_volume(url), open_volume(scored.truth)
    wide = truth.read(Box((180, 0, 0), (228, *truth.info.shape[1:])))
    grey = image.read(Box((180, 0, 0), (228, *image.info.shape[1:])))
    yield "cell", grey, np.isin(wide, (1, 2))[:, 2::4, 2::4], image.info


def dice(folder: Path, slab: Slab, name: str, values: Any, axes: str) -> float:
    """Of the shipped model on `values`, which lie around the middle of a slab."""
    of, grey, nuclei, like = slab
    first = (len(grey) - len(values)) // 2
    place = folder / f"{of}-{name}-{axes}"
    marks = nuclei[first : first + len(values), : values.shape[1], : values.shape[2]]
    truth = saved(Path(f"{place}-truth.zarr"), marks.astype(np.uint8), like.voxel_nm)
    image = saved(Path(f"{place}.zarr"), values, like.voxel_nm, kind="image")
    out = f"{place}-out.zarr"
    volproc.predict(image, out, PredictOptions(axes=axes, votes=False), cluster=SERIAL)
    return float(
        volproc.evaluate(out, EvaluateOptions(ground_truth=truth), cluster=SERIAL).rows()[0]["dice"]
        or 0
    )


def with_outliers(grey: Any, kind: str, count: int) -> Any:
    """The same volume in another type, with `count` voxels that are wrong."""
    gain, wrong = KINDS[kind]
    values = (grey.astype(np.float64) * gain).astype(kind)
    places = np.random.default_rng(count).choice(values.size, count, replace=False)
    values.reshape(-1)[places] = np.resize(wrong, count)
    return values


def outliers(folder: Path, slab: Slab, axes: str) -> None:
    """Print a row for each type."""
    print(f"{slab[0]}, axes {axes}\n| type | {' | '.join(map(str, COUNTS))} |\n|{'---|' * 5}")
    for kind in KINDS:
        scores = [
            dice(folder, slab, f"{kind}-{n}", with_outliers(slab[1], kind, n), axes) for n in COUNTS
        ]
        print(f"| {kind} | {' | '.join(f'{one:.4f}' for one in scores)} |", flush=True)


def thin(folder: Path, slab: Slab) -> None:
    """Print a row for each number of slices."""
    print(f"{slab[0]}\n| slices | zyx | z | yx |\n|---|---|---|---|")
    for planes in THIN:
        first = (len(slab[1]) - planes) // 2
        values = slab[1][first : first + planes]
        scores = [dice(folder, slab, f"thin-{planes}", values, axes) for axes in ("zyx", "z", "yx")]
        print(f"| {planes} | {' | '.join(f'{one:.4f}' for one in scores)} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parts", nargs="+", default=["outliers", "thin"])
    parser.add_argument("--axes", default="z")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    for slab in slabs(given.data, given.folder):
        if "outliers" in given.parts:
            outliers(given.folder, slab, given.axes)
        if "thin" in given.parts:
            thin(given.folder, slab)


if __name__ == "__main__":
    main()
