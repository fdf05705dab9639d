"""Which slices to show, and their voxels on square pixels: every volume seen at the same places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Box, Shape, each
from volproc.grid.scale import taps
from volproc.volume.metadata import Level, VolumeInfo, itemsize
from volproc.volume.sampling import Sampling
from volproc.volume.store import Volume

MAX_PX = (600, 900)
"""Pixels of the longest side of a picture: small volumes are enlarged to the first."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Canvas:
    """A picture across one axis of a volume: `height` by `width` square pixels.

    It begins `first` pixels (down, across) from the volume's corner.
    """

    axis: int
    height: int
    width: int
    pixel_nm: float
    first: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        """The axis' letter."""
        return "zyx"[self.axis]

    @property
    def sides(self) -> tuple[int, int]:
        """The axes that run down and across the picture."""
        down, across = (axis for axis in range(3) if axis != self.axis)
        return down, across


def canvases(info: VolumeInfo) -> tuple[Canvas, Canvas, Canvas]:
    """One canvas for each of z, y, x, all with the same pixel size, so that they compare."""
    extent = each(lambda n, v: n * v, info.shape, info.voxel_nm)
    voxels = max(extent) / min(info.voxel_nm)
    pixel_nm = max(extent) / min(max(voxels, MAX_PX[0]), MAX_PX[1])

    def canvas(axis: int) -> Canvas:
        down, across = (max(1, round(extent[a] / pixel_nm)) for a in range(3) if a != axis)
        return Canvas(axis, down, across, pixel_nm)

    return canvas(0), canvas(1), canvas(2)


def canvas_around(
    info: VolumeInfo, axis: int, centre_nm: Sequence[float], *, side_nm: float, pixels: int
) -> Canvas:
    """A canvas of up to `pixels` a side around a place, moved or cut where the volume ends."""
    pixel_nm = side_nm / pixels
    sizes, first = [], []
    for side in range(3):
        if side != axis:
            there = max(1, round(info.shape[side] * info.voxel_nm[side] / pixel_nm))
            size = min(pixels, there)
            begin = round(centre_nm[side] / pixel_nm - size / 2)
            sizes.append(size)
            first.append(min(max(0, begin), there - size))
    return Canvas(axis, sizes[0], sizes[1], pixel_nm, (first[0], first[1]))


def spread(start: Floats, stop: Floats, weight: Floats, *, count: int, length: float) -> Floats:
    """`count` places on an axis of `length` where there are objects, in proportion to their weight.

    Object i reaches from `start[i]` to `stop[i]`, its weight spread evenly between. The places cut
    the total into equal parts and are their middles; each lies inside an object. Without objects
    they are evenly spread.

    >>> spread(np.array([0.0, 90.0]), np.array([10.0, 100.0]), np.ones(2), count=2, length=500.0)
    array([ 5., 95.])
    """
    parts = (np.arange(count) + 0.5) / count
    if not len(start):
        return parts * length
    at = np.concatenate([start, stop])
    slope = np.concatenate([weight, -weight]) / np.tile(stop - start, 2)
    order = np.argsort(at, kind="stable")
    at, density = at[order], np.cumsum(slope[order])
    mass = np.concatenate([[0.0], np.cumsum(density[:-1] * np.diff(at))])
    places = np.interp(parts * mass[-1], mass, at)
    return np.array([_inside(place, start, stop) for place in places])


def _inside(place: float, start: Floats, stop: Floats) -> float:
    """`place`, or the middle of the nearest object where there is none."""
    if ((start <= place) & (place < stop)).any():
        return place
    middle = (start + stop) / 2
    return float(middle[np.argmin(np.abs(middle - place))])


def indices(places: Floats, *, voxel_nm: float, size: int) -> list[int]:
    """The slices that hold `places` in nm, each once, in order."""
    return sorted({min(size - 1, int(place / voxel_nm)) for place in places})


def level_for(info: VolumeInfo, canvas: Canvas) -> int:
    """The coarsest level that still has a voxel for every pixel, or the finest along that side."""
    finest = info.voxel_nm

    def suits(level: Level) -> bool:
        return all(
            level.voxel_nm[side] <= 1.01 * max(canvas.pixel_nm, finest[side])
            for side in canvas.sides
        )

    return max(n for n, level in enumerate(info.levels) if n == 0 or suits(level))


def plane(level: Level, canvas: Canvas, at_nm: float) -> Box:
    """The voxels below a canvas, and a few around them, of the level's slice at `at_nm`."""
    axis = canvas.axis
    index = min(level.shape[axis] - 1, int(at_nm / level.voxel_nm[axis]))
    start, stop = [0, 0, 0], list(level.shape)
    start[axis], stop[axis] = index, index + 1
    for side, first, size in _ways(canvas):
        factor = canvas.pixel_nm / level.voxel_nm[side]
        around = ceil(max(1.0, factor)) + 1
        start[side] = min(max(0, int(first * factor) - around), level.shape[side] - 1)
        stop[side] = min(level.shape[side], ceil((first + size) * factor) + around)
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def bytes_of_plane(info: VolumeInfo, canvas: Canvas) -> int:
    """Raw bytes of the chunks that one slice touches."""
    level = info.levels[level_for(info, canvas)]
    thick = min(level.chunks[canvas.axis], level.shape[canvas.axis])
    down, across = canvas.sides
    voxels = thick * level.shape[down] * level.shape[across]
    return voxels * itemsize(info.dtype) * max(1, len(info.channels))


def read_nearest(volume: Volume, canvas: Canvas, at_nm: float) -> npt.NDArray[Any]:
    """What is at each pixel's centre, shape (height, width); a channel axis comes first."""
    number = level_for(volume.info, canvas)
    level = volume.info.levels[number]
    factor, slice_ = [1.0, 1.0, 1.0], plane(level, canvas, at_nm)
    start, stop = list(slice_.start), list(slice_.stop)
    for side, first, size in _ways(canvas):
        factor[side] = canvas.pixel_nm / level.voxel_nm[side]
        start[side], stop[side] = first, first + size
    sampling = Sampling(level.shape, (factor[0], factor[1], factor[2]))
    box = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    values = volume.read(sampling.source(box), level=number)
    sample = sampling.sample if volume.info.kind == "labels" else sampling.sample_mean
    return sample(values, box).squeeze(axis=canvas.axis - 3)


def read_smooth(volume: Volume, canvas: Canvas, at_nm: float) -> npt.NDArray[np.float32]:
    """The image (its first channel) at each pixel, interpolated or averaged: (height, width)."""
    number = level_for(volume.info, canvas)
    level = volume.info.levels[number]
    box = plane(level, canvas, at_nm)
    values = volume.read(box, level=number).squeeze(axis=canvas.axis - 3)
    out: npt.NDArray[np.float32] = values.reshape(-1, *values.shape[-2:])[0].astype(np.float32)
    for axis, (side, first, size) in enumerate(_ways(canvas)):
        factor = canvas.pixel_nm / level.voxel_nm[side]
        end = first + size
        way = taps(first, end, size_in=level.shape[side], size_out=end, factor=factor)
        column = (-1, 1) if axis == 0 else (1, -1)
        shape = (size, out.shape[1]) if axis == 0 else (out.shape[0], size)
        total = np.zeros(shape, dtype=np.float32)
        for indices, weights in zip(way.indices.T, way.weights.T, strict=True):
            there = way.first + indices - box.start[side]
            total += out.take(there, axis=axis) * weights.reshape(column)
        out = total
    return out


def _ways(canvas: Canvas) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The sides of the picture with their first pixel and how many: down, then across."""
    down, across = canvas.sides
    return (down, canvas.first[0], canvas.height), (across, canvas.first[1], canvas.width)


def extent_um(info: VolumeInfo) -> tuple[float, float, float]:
    """Size of the field of view in um, (z, y, x)."""
    shape: Shape = info.shape
    return each(lambda n, v: n * v / 1000, shape, info.voxel_nm)
