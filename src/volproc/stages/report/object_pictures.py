"""Small pictures of single objects, and of all of them in space."""

from __future__ import annotations

from math import prod

import numpy as np

from volproc.grid.box import Box, each
from volproc.stages.pictures import grey, outlined, outlines, small_uri, two_wide
from volproc.stages.report.camera import Camera
from volproc.stages.report.gallery import Gallery, Shades
from volproc.stages.report.object_listing import Objects
from volproc.stages.report.ray_casting import occupancy, picture_of
from volproc.stages.report.shown_slices import canvas_around, read_nearest, read_smooth
from volproc.volume.metadata import Level, VolumeInfo
from volproc.volume.store import Volume

DETAIL = 24
"""Voxels of an object's longest side at the level at which its largest section is looked for."""
AROUND = 1.35
"""Side of a picture in longest sides of the object."""
SMALL, LARGE = 64, 168
"""Pixels of a picture in the table, and of one of a doubtful object."""
MAX_VOXELS = 2**23
"""The picture in space is of the finest level of the labels that has no more voxels than this."""
MOST_VOXELS = 2**25
"""If the coarsest has more than this, there is no such picture."""
TURNS = 12
ELEVATION = 25.0
WIDTH = 720

Place = tuple[float, float, float]


def largest_sections(labels: Volume, objects: Objects, n: int) -> Place:
    """Where along each axis (z, y, x) the object of row `n` is widest, in nm from the corner."""
    number, level = _level_of(labels.info, objects, n)
    box = _box(level, objects, n)
    own = labels.read(box, level=number) == objects.ids[n]
    if not own.any():  # too small for the level, or edited since
        place = objects.centroid_um[n] * 1000
        return float(place[0]), float(place[1]), float(place[2])

    def at(axis: int) -> float:
        areas = own.sum(axis=tuple(a for a in range(3) if a != axis))
        return (box.start[axis] + int(areas.argmax()) + 0.5) * level.voxel_nm[axis]

    return at(0), at(1), at(2)


def object_picture(
    gallery: Gallery,
    objects: Objects,
    n: int,
    place: Place,
    *,
    axis: int,
    pixels: int,
    shades: Shades,
) -> str:
    """The object of row `n` on the slice at `place` across `axis`, outlined, as a data URI.

    Large pictures outline its neighbours as well.
    """
    assert gallery.objects is not None
    start, stop = objects.start_um[n] * 1000, objects.stop_um[n] * 1000
    sides = [side for side in range(3) if side != axis]
    longest = max(float((stop - start)[side]) for side in sides)
    canvas = canvas_around(
        *(gallery.image.info, axis, ((start + stop) / 2).tolist()),
        side_nm=AROUND * longest,
        pixels=pixels,
    )
    values = read_smooth(gallery.image, canvas, place[axis])
    labels = read_nearest(gallery.objects, canvas, place[axis])
    own = np.where(labels == objects.ids[n], labels, 0)
    edge = two_wide(own) | (outlines(labels) if pixels > SMALL else False)
    image = grey(values, low=shades.low, high=shades.high)
    return small_uri(outlined(image, labels, edge).rgb)


def turntable(labels: Volume) -> tuple[str, ...]:
    """The objects in space from all around, as data URIs; none where the labels are too large."""
    levels = labels.info.levels
    sizes = [prod(level.shape) for level in levels]
    number = next((n for n, size in enumerate(sizes) if size <= MAX_VOXELS), len(levels) - 1)
    if sizes[number] > MOST_VOXELS:
        return ()
    level = levels[number]
    voxels = labels.read(level.box, level=number)
    extent = each(lambda n, v: n * v, level.shape, level.voxel_nm)
    field = occupancy(voxels)
    first = 30.0
    looks = (Camera(extent, first + 360 * turn / TURNS, ELEVATION, WIDTH) for turn in range(TURNS))
    pictures = (picture_of(voxels, field, voxel_nm=level.voxel_nm, camera=one) for one in looks)
    return tuple(small_uri(picture, quality=70) for picture in pictures)


def _level_of(info: VolumeInfo, objects: Objects, n: int) -> tuple[int, Level]:
    """The coarsest level that still shows the form of an object."""
    extent: list[float] = (objects.size_um[n] * 1000).tolist()

    def suits(level: Level) -> bool:
        return max(e / v for e, v in zip(extent, level.voxel_nm, strict=True)) >= DETAIL

    number = max(n for n, level in enumerate(info.levels) if n == 0 or suits(level))
    return number, info.levels[number]


def _box(level: Level, objects: Objects, n: int) -> Box:
    """The voxels of a level that hold an object."""
    start, stop = ((one[n] * 1000).tolist() for one in (objects.start_um, objects.stop_um))
    first = each(lambda a, v, size: min(int(a / v), size - 1), start, level.voxel_nm, level.shape)
    end = each(lambda b, v, size: min(size, int(-(-b // v))), stop, level.voxel_nm, level.shape)
    return Box(first, each(lambda a, b: max(a + 1, b), first, end))
