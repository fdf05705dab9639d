"""From voxels to the images that volunteers see: contrast, size, JPEG or PNG; and the two tasks."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cache, partial
from io import BytesIO
from math import floor, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from volproc.errors import AnnotateError
from volproc.grid.blocks import Block
from volproc.stages.pictures import Bytes, area_means, grey
from volproc.stages.subjects.options import SubjectsOptions
from volproc.stages.subjects.shown_regions import Region, sample_of, shown_slices
from volproc.volume.display_window import window
from volproc.volume.file_io import write_file
from volproc.volume.store import Volume

QUALITIES = range(95, 45, -5)
"""Of JPEG, tried in this order until an image fits. Below 50 membranes drown in blocks."""
LOSSLESS = 100
ENDINGS = {"jpeg": "jpg", "png": "png"}
BAND_ROWS = 512
"""Rows of a slice that are scaled and stretched at once: as float64 they take 8 times the room."""


def size_at(shape: tuple[int, int], scale: float) -> tuple[int, int]:
    """Rows and columns of the image of a slice; at least one of each.

    >>> size_at((2000, 1999), 0.5), size_at((3, 1), 0.1)
    ((1000, 1000), (1, 1))
    """
    rows, columns = (max(1, floor(n * scale + 0.5)) for n in shape)
    return rows, columns


def picture_of(plane: npt.NDArray[Any], *, size: tuple[int, int], low: float, high: float) -> Bytes:
    """`plane` as an image of `size`: each pixel the mean of the area it covers, `low` black.

    The contrast is stretched after averaging, so that noise beyond `low` and `high` averages out.
    """
    out = np.empty(size, dtype=np.uint8)
    rows = np.linspace(0, plane.shape[0], size[0] + 1)
    columns = np.linspace(0, plane.shape[1], size[1] + 1)
    step = max(1, BAND_ROWS * size[0] // plane.shape[0])
    for first in range(0, size[0], step):
        edges = rows[first : first + step + 1]
        start, stop = floor(edges[0]), int(np.ceil(edges[-1]))
        band = np.nan_to_num(plane[start:stop].astype(np.float64), nan=low, posinf=high, neginf=low)
        means = area_means(band, edges - start, columns)
        out[first : first + step] = grey(means, low=low, high=high)
    return out


def encoded(picture: Bytes, *, kind: str, largest_bytes: int) -> tuple[bytes, int]:
    """The image as a file of at most `largest_bytes`, and its quality (100 for PNG).

    AnnotateError where that cannot be done.
    """
    made = cache(partial(_file, picture, kind))
    tried = QUALITIES if kind == "jpeg" else [LOSSLESS]

    def fits(quality: int) -> bool:
        return len(made(quality)) <= largest_bytes

    # the best first, which often fits; of the others each halves what is left
    first = 0 if fits(tried[0]) else bisect_left(tried, True, key=fits)
    if first == len(tried):
        raise _too_large(picture.shape, kind, len(made(tried[-1])), largest_bytes)
    return made(tried[first]), tried[first]


def _file(picture: Bytes, kind: str, quality: int) -> bytes:
    file = BytesIO()
    settings = {"quality": quality, "optimize": True} if kind == "jpeg" else {}
    Image.fromarray(picture).save(file, kind.upper(), **settings)
    return file.getvalue()


def _too_large(shape: tuple[int, ...], kind: str, size: int, most: int) -> AnnotateError:
    smaller = max(0.01, floor(95 * sqrt(most / size)) / 100)
    how = f"JPEG of quality {QUALITIES[-1]}" if kind == "jpeg" else "PNG"
    other = "" if kind == "jpeg" else ', or format = "jpeg"'
    return AnnotateError(
        f"{shape[1]} x {shape[0]} pixels take {size} bytes as {how}, more than [subjects] "
        f"largest_bytes = {most}; make scale smaller, about {smaller:g} times what it is{other}"
    )


@dataclass(frozen=True)
class FindContrast:
    """Task: the grey values of one region that become black and white."""

    volume: Volume

    def load(self, block: Block) -> npt.NDArray[Any]:
        """A sample of the region's voxels."""
        return np.concatenate([self.volume.read(box).ravel() for box in sample_of(block.core)])

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> list[float]:
        """The 0.5 and 99.5 percentiles of the sample."""
        found = window(loaded)
        return [float(found.start), float(found.end)]

    def store(self, block: Block, result: list[float]) -> list[float]:
        """Nothing but the record."""
        return result


@dataclass(frozen=True)
class CutFrames:
    """Task: images of the slices of a slab that are shown, into `folder`.

    `contrast` has black and white of each region; a block's `read` is its region's box.
    """

    volume: Volume
    folder: str
    regions: tuple[Region, ...]
    options: SubjectsOptions
    contrast: tuple[tuple[float, float], ...] = ()

    def load(self, block: Block) -> npt.NDArray[Any]:
        """The slab."""
        return self.volume.read(block.core)

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> dict[int, tuple[bytes, int]]:
        """File and quality of each slice that is shown, by its number in the region."""
        number, region = self._region(block)
        first = block.core.start[0] - region.box.start[0]
        shown = range(first, first + len(loaded))
        return {
            z: self._file(region.frame(z), loaded[z - first], self.contrast[number])
            for z in shown_slices(region, self.options)
            if z in shown
        }

    def store(self, block: Block, result: dict[int, tuple[bytes, int]]) -> list[list[int]]:
        """Write the files; the quality of each slice."""
        _, region = self._region(block)
        for z, (content, _) in result.items():
            name = f"{region.frame(z)}.{ENDINGS[self.options.format]}"
            write_file(f"{self.folder}/{name}", content)
        return [[z, quality] for z, (_, quality) in result.items()]

    def _region(self, block: Block) -> tuple[int, Region]:
        return next((n, one) for n, one in enumerate(self.regions) if one.box == block.read)

    def _file(
        self, name: str, plane: npt.NDArray[Any], contrast: tuple[float, float]
    ) -> tuple[bytes, int]:
        rows, columns = plane.shape
        size = size_at((rows, columns), self.options.scale)
        picture = picture_of(plane, size=size, low=contrast[0], high=contrast[1])
        try:
            return encoded(
                picture, kind=self.options.format, largest_bytes=self.options.largest_bytes
            )
        except AnnotateError as error:
            raise AnnotateError(f"{name}: {error}") from error
