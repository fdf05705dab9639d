"""Made electron micrographs of any size: a numbered TIFF series, and one BigTIFF stack.

    python benchmarks/made_series.py FOLDER [--shape 256 4096 4096] [--stack]

Not tissue, but what reading, compressing and averaging see of it: a slowly changing texture below
fresh noise in every slice, so that zstd-1 saves as much as on real slices (ratio about 1.4) and
every voxel tells its place. The same shape gives the same voxels; files that exist are kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tifffile

Shape = tuple[int, int, int]
Plane = npt.NDArray[np.uint8]


class Layer(NamedTuple):
    """A periodic pattern; `period` are primes, so that no two places of a volume look alike."""

    period: tuple[int, int]
    smooth: float  # pixels
    lowest: int
    spread: float  # standard deviation in grey values


TEXTURES = (
    Layer(period=(1021, 1097), smooth=24, lowest=30, spread=7),
    Layer(period=(1153, 1009), smooth=5, lowest=25, spread=5),
)
NOISE = Layer(period=(1201, 1301), smooth=0, lowest=20, spread=9)
LAYERS = (*TEXTURES, NOISE)
DRIFT = ((2, 1), (-1, 3))
"""Pixels by which each texture moves from slice to slice, along y and x; noise jumps."""


class MadeVolume:
    """uint8 voxels of `shape` (z, y, x), plane by plane."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def plane(self, z: int) -> Plane:
        """Slice `z`."""
        return self._cut(z, slice(0, self.shape[1]), slice(0, self.shape[2]))

    def box(self, z: slice, y: slice, x: slice) -> npt.NDArray[np.uint8]:
        """The voxels of a box."""
        return np.stack([self._cut(one, y, x) for one in range(z.start, z.stop)])

    def planes(self) -> Iterator[Plane]:
        """All slices."""
        return map(self.plane, range(self.shape[0]))

    def _cut(self, z: int, y: slice, x: slice) -> Plane:
        """A part of slice `z`; grey values of the layers never exceed 255 in sum."""
        drift = [(dy * z, dx * z) for dy, dx in DRIFT]
        drift.append(tuple(np.random.default_rng((7, z)).integers(0, NOISE.period)))
        out = np.zeros((y.stop - y.start, x.stop - x.start), dtype=np.uint8)
        for layer, wide, (dy, dx) in zip(LAYERS, self._wide, drift, strict=True):
            top, left = dy % layer.period[0], dx % layer.period[1]
            out += wide[top + y.start : top + y.stop, left + x.start : left + x.stop]
        return out

    @cached_property
    def _wide(self) -> tuple[Plane, ...]:
        """Every layer repeated to a plane and one period more."""
        around = [(0, n) for n in self.shape[1:]]
        return tuple(np.pad(_tile(layer), around, mode="wrap") for layer in LAYERS)


def made_series(folder: Path, shape: Shape) -> Path:
    """The folder of numbered, uncompressed TIFF slices of `shape` below `folder`."""
    volume = MadeVolume(shape)
    series = series_folder(folder, shape)
    series.mkdir(parents=True, exist_ok=True)
    for z in range(shape[0]):
        path = series / f"slice_{z:04}.tif"
        if not path.exists():
            partial = path.with_suffix(".partial")
            tifffile.imwrite(partial, volume.plane(z), metadata=None)
            partial.replace(path)
    return series


def series_folder(folder: Path, shape: Shape) -> Path:
    """Where the slices of `shape` are, or will be."""
    return folder / f"em-{'x'.join(map(str, shape))}"


def made_stack(folder: Path, shape: Shape) -> Path:
    """The same voxels as one BigTIFF below `folder`."""
    path = series_folder(folder, shape).with_suffix(".tif")
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        planes = MadeVolume(shape).planes()
        what: dict[str, Any] = {"shape": shape, "dtype": "uint8", "bigtiff": True}
        tifffile.imwrite(
            partial, planes, photometric="minisblack", metadata={"axes": "ZYX"}, **what
        )
        partial.replace(path)
    return path


def _tile(layer: Layer) -> Plane:
    """One period of a layer: noise, smoothed round the corner by a Gaussian."""
    noise = np.random.default_rng(layer.period).standard_normal(layer.period)
    if layer.smooth:
        fy, fx = np.fft.fftfreq(layer.period[0])[:, None], np.fft.rfftfreq(layer.period[1])
        keep = np.exp(-2 * (np.pi * layer.smooth) ** 2 * (fy**2 + fx**2))
        noise = np.fft.irfft2(np.fft.rfft2(noise) * keep, s=layer.period)
    values = noise / noise.std() * layer.spread
    grey = np.clip(values + layer.lowest + 3 * layer.spread, layer.lowest, 80)
    return np.asarray(grey, dtype=np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", type=int, nargs=3, default=(256, 4096, 4096))
    parser.add_argument("--stack", action="store_true", help="one BigTIFF, not a series")
    given = parser.parse_args()
    shape = tuple(given.shape)
    made = (made_stack if given.stack else made_series)(given.folder, shape)
    print(f"{made}: {shape} voxels, {prod(shape) / 1e9:.3g} GB")


if __name__ == "__main__":
    main()
