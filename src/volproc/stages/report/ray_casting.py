"""Labels seen from outside, as a kernel: rays from every pixel to the surface they meet first.

A picture needs no meshes, so it can be made of any labels. The surface is where the labels'
occupancy, smoothed, is a half; objects that touch are parted by a seam.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from volproc.compiled import Real, compiled
from volproc.stages.report.camera import Camera, Floats
from volproc.volume.display_window import id_colours

Rgba = npt.NDArray[np.uint8]

LEVEL = 0.5
"""Of occupancy: the surface."""
SMOOTHING = 0.9
"""Voxels: what takes the steps of voxels off a surface."""
KEPT = 0.9
"""Occupancy of voxels of objects that smoothing would take away."""
STEP, EMPTY = 0.6, 4.0
"""Voxels from one place on a ray to the next; so many times that where occupancy is 0, as it is
more than 0 for three voxels around an object."""
LIGHT = (0.45, 0.6, -0.66)
"""Where it comes from, as the picture sees it: right, up, towards the eye is negative."""
AMBIENT = 0.38
WIRE = (128, 128, 128, 200)
"""The colour of the volume's edges, for light and dark pages."""


def occupancy(labels: npt.NDArray[Any]) -> Floats:
    """0 to 1 for every voxel, smoothed; voxels where two objects meet count for none.

    What is too small to be left when it is smoothed keeps its voxels.
    """
    inside = labels != 0
    for axis in range(3):
        moved, own = np.moveaxis(labels, axis, 0), np.moveaxis(inside, axis, 0)
        own[1:] &= (moved[1:] == moved[:-1]) | (moved[:-1] == 0)
    padded = np.pad(inside, 1).astype(np.float32)  # closed where the volume's border cuts objects
    smooth: Floats = ndimage.gaussian_filter(padded, SMOOTHING, mode="constant")
    lost = (padded > 0) & (ndimage.maximum_filter(smooth, 3) < LEVEL)
    smooth[lost] = KEPT
    return smooth


def picture_of(
    labels: npt.NDArray[Any],
    field: Floats,
    *,
    voxel_nm: Sequence[float],
    camera: Camera,
) -> Rgba:
    """The objects as `camera` sees them, (height, width, 4), clear where there is none.

    `field` is their `occupancy`.
    """
    size = np.array(voxel_nm, np.float32)
    depth = np.full((camera.height, camera.width), np.inf, np.float32)
    normal = np.zeros((*depth.shape, 3), np.float32)
    middle = np.array(camera.extent_nm, np.float32) / 2
    step = np.float32(STEP * size.min())
    _cast(
        *(field, size, middle, camera.down, camera.right, camera.into),
        *(np.float32(camera.pixel_nm), step, depth, normal),
    )
    picture = np.zeros((*depth.shape, 4), np.uint8)
    hit = np.isfinite(depth)
    found = _labels_at(labels, size, camera, depth, normal, hit)
    lit = id_colours(np.maximum(found, 1)) * _shade(normal[hit], camera)[:, None]
    picture[hit, :3] = lit.astype(np.uint8)
    picture[hit, 3] = 255
    _draw_box(picture, depth, camera)
    return picture


def _labels_at(
    labels: npt.NDArray[Any],
    size: Floats,
    camera: Camera,
    depth: Floats,
    normal: Floats,
    hit: npt.NDArray[np.bool_],
) -> npt.NDArray[Any]:
    """The object that each pixel sees: that a voxel or two beneath the surface."""
    rows, columns = np.nonzero(hit)
    down = (rows + 0.5 - camera.height / 2) * camera.pixel_nm
    across = (columns + 0.5 - camera.width / 2) * camera.pixel_nm
    place = np.array(camera.extent_nm) / 2 + down[:, None] * camera.down
    place = place + across[:, None] * camera.right + depth[hit][:, None] * camera.into
    found = np.zeros(len(rows), labels.dtype)
    for beneath in (0.5, 1.0, 1.7, 0.0, 2.5):
        at = np.floor((place - beneath * size * normal[hit]) / size).astype(np.intp)
        at = np.clip(at, 0, np.array(labels.shape) - 1)
        found = np.where(found == 0, labels[tuple(at.T)], found)
    return found


def _shade(normal: Floats, camera: Camera) -> Floats:
    """How bright a surface is, 0 to 1."""
    right, up, away = LIGHT
    light = right * camera.right - up * camera.down + away * camera.into
    facing = np.clip(-(normal @ camera.into), 0, 1)  # its rim is darker: shapes are told apart
    lit = np.clip(normal @ (light / np.linalg.norm(light)), 0, 1)
    shade: Floats = np.clip(AMBIENT + 0.62 * lit, 0, 1) * (0.55 + 0.45 * facing)
    return shade


def _draw_box(picture: Rgba, depth: Floats, camera: Camera) -> None:
    """The edges of the volume, where no object is before them."""
    corners = [np.array(corner) for corner in product((0.0, 1.0), repeat=3)]
    for a, b in product(corners, corners):
        if (b - a).sum() != 1 or np.abs(b - a).sum() != 1:
            continue
        along = np.linspace(0, 1, 2 * camera.width)[:, None]
        places = (a + along * (b - a)) * np.array(camera.extent_nm)
        row, column, far = camera.placed(places).T
        at = np.floor(row).astype(np.intp), np.floor(column).astype(np.intp)
        inside = (at[0] >= 0) & (at[0] < depth.shape[0]) & (at[1] >= 0) & (at[1] < depth.shape[1])
        at, far = (at[0][inside], at[1][inside]), far[inside]
        before = far < depth[at]
        picture[at[0][before], at[1][before]] = WIRE


@compiled
def _cast(
    field: Any,
    size: Any,
    middle: Any,
    down: Any,
    right: Any,
    into: Any,
    pixel: Real,
    step: Real,
    depth: Any,
    normal: Any,
) -> None:
    """Depth in nm from the middle's plane, and the surface's direction, of each pixel that sees it.

    `field` has a voxel more on every side than the volume.
    """
    height, width = depth.shape
    reach = 0.0
    for axis in range(3):
        reach += middle[axis] ** 2
    reach = reach**0.5 + step
    place = np.empty(3, np.float32)
    start = np.empty(3, np.float32)
    for row in range(height):
        for column in range(width):
            v, u = (row + 0.5 - height / 2) * pixel, (column + 0.5 - width / 2) * pixel
            first, last = -reach, reach
            for axis in range(3):
                start[axis] = middle[axis] + v * down[axis] + u * right[axis]
                low, high = -start[axis] - size[axis], 2 * middle[axis] + size[axis] - start[axis]
                if abs(into[axis]) < 1e-6:
                    if low > 0 or high < 0:
                        last = first - 1
                else:
                    a, b = low / into[axis], high / into[axis]
                    first, last = max(first, min(a, b)), min(last, max(a, b))
            t = first
            while t < last:
                for axis in range(3):
                    place[axis] = (start[axis] + t * into[axis]) / size[axis] + 0.5
                near = _near(field, place)
                if near > 0.05 and _between(field, place) >= LEVEL:
                    t = _refined(field, size, start, into, t - step, t, place)
                    depth[row, column] = t
                    _slope(field, size, place, normal[row, column])
                    break
                t += step if near > 0.0 else EMPTY * step


@compiled
def _refined(
    field: Any, size: Any, start: Any, into: Any, out: Real, inside: Real, place: Any
) -> Real:
    """Where between two places on a ray the surface is; `place` is set to it."""
    for _ in range(6):
        half = 0.5 * (out + inside)
        for axis in range(3):
            place[axis] = (start[axis] + half * into[axis]) / size[axis] + 0.5
        if _between(field, place) >= LEVEL:
            inside = half
        else:
            out = half
    return inside


@compiled
def _near(field: Any, place: Any) -> Real:
    """The voxel that holds a place."""
    z, y, x = int(place[0] + 0.5), int(place[1] + 0.5), int(place[2] + 0.5)
    if z < 0 or y < 0 or x < 0 or z >= field.shape[0] or y >= field.shape[1] or x >= field.shape[2]:
        return np.float32(0.0)
    return field[z, y, x]


@compiled
def _between(field: Any, place: Any) -> Real:
    """The voxels around a place, by their distances from it."""
    z, y, x = int(np.floor(place[0])), int(np.floor(place[1])), int(np.floor(place[2]))
    total = np.float32(0.0)
    for k in range(8):
        a, b, c = z + (k >> 2), y + (k >> 1 & 1), x + (k & 1)
        if a < 0 or b < 0 or c < 0:
            continue
        if a >= field.shape[0] or b >= field.shape[1] or c >= field.shape[2]:
            continue
        near = (1 - abs(place[0] - a)) * (1 - abs(place[1] - b)) * (1 - abs(place[2] - c))
        total += field[a, b, c] * near
    return total


@compiled
def _slope(field: Any, size: Any, place: Any, normal: Any) -> None:
    """Out of the surface, of length 1."""
    length = 0.0
    for axis in range(3):
        kept = place[axis]
        place[axis] = kept - 1
        before = _between(field, place)
        place[axis] = kept + 1
        after = _between(field, place)
        place[axis] = kept
        normal[axis] = (before - after) / size[axis]
        length += normal[axis] ** 2
    length = max(length**0.5, 1e-12)
    for axis in range(3):
        normal[axis] /= length
