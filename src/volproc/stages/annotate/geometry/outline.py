"""The line at which half of the crowd agrees, finer than voxels, and the envelope along it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.measure import find_contours

from volproc.compiled import compiled
from volproc.drawing import Patch, Window, bounding_box

Points = npt.NDArray[np.float64]
Segments = npt.NDArray[np.float64]

INSIDE = 0.5
"""Agreement from which a voxel lies inside: ties do."""

# Just below, so that ties lie inside; not the next number below, because the line then passes
# through the very centre of a voxel from several sides and find_contours loses its way.
_LEVEL = INSIDE - 1e-6

_RIM = 2
"""Voxels put around the map: one that goes on as at the image's border, one that ends it."""


def outline(agreement: Patch, shape_yx: tuple[int, int]) -> list[Points]:
    """Closed lines around what is inside, shape (n, 2): y and x in voxels of the region.

    Between voxel centres the agreement is taken to change evenly. Where the object leaves the
    image of `shape_yx`, the line runs straight to the border and closes along it.
    """
    found = bounding_box(agreement.values >= INSIDE)
    if found is None:
        return []
    rows, columns = agreement.values.shape
    box = found.grow(1, (rows, columns))
    start = np.add(agreement.origin_yx, box.start)
    rimmed = _rimmed(agreement.values[box.slices], start, shape_yx)
    shift = start - _RIM + 0.5
    return [_on_image(line + shift, shape_yx) for line in find_contours(rimmed, _LEVEL)]


def envelope(
    agreement: Patch, shape_yx: tuple[int, int], *, nm: tuple[float, float], width_nm: float
) -> Patch:
    """Where a line of `width_nm` along the outline runs, as a mask; voxels measure `nm` (y, x).

    A voxel belongs if its centre lies within half the width; of those exactly there the ones
    inside do, so that seven voxels of 10 nm make 70 nm on straight lines too. The line is at least
    a voxel wide. Where the object only leaves the image there is none along the border.
    """
    lines = outline(agreement, shape_yx)
    segments = _segments(lines, shape_yx) if lines else np.empty(0)
    if not len(segments):
        return Patch((0, 0), np.zeros((0, 0), dtype=np.bool_))
    half = max(width_nm, *nm) / 2
    ends = segments.reshape(-1, 2)
    size = np.asarray(nm, dtype=np.float64)
    low, high = ends.min(axis=0) - half / size, ends.max(axis=0) + half / size
    window = Window.around(low, high, shape_yx)
    inside = agreement.cut(window) >= INSIDE
    drawn = np.zeros(inside.shape, dtype=np.bool_)
    _draw(segments - np.tile(window.start, 2), inside, size, half, drawn)
    return Patch(window.start, drawn)


def _rimmed(
    values: npt.NDArray[Any], start: npt.NDArray[np.intp], shape_yx: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """The map with a rim of 0, next to the image's border first with what lies on the border."""
    rows, columns = values.shape
    out = np.zeros((rows + 2 * _RIM, columns + 2 * _RIM))
    out[_RIM:-_RIM, _RIM:-_RIM] = values
    for view, first, length, whole in (
        (out, start[0], rows, shape_yx[0]),
        (out.T, start[1], columns, shape_yx[1]),
    ):
        if first == 0:
            view[_RIM - 1] = view[_RIM]
        if first + length == whole:
            view[_RIM + length] = view[_RIM + length - 1]
    return out


def _on_image(line: Points, shape_yx: tuple[int, int]) -> Points:
    """The line with what lies beyond the image moved onto its border, each point once."""
    clipped = np.clip(line, 0, shape_yx)
    moved = np.ones(len(clipped), dtype=np.bool_)
    moved[1:] = (clipped[1:] != clipped[:-1]).any(axis=1)
    kept: Points = clipped[moved]
    return kept


def _segments(lines: list[Points], shape_yx: tuple[int, int]) -> Segments:
    """From (y, x) to (y, x), shape (n, 4), without those that lie on the image's border."""
    joined = np.vstack([np.hstack([line[:-1], line[1:]]) for line in lines])
    a, b = joined[:, :2], joined[:, 2:]
    along = ((a == b) & ((a == 0) | (a == shape_yx))).any(axis=1)
    kept: Segments = joined[~along]
    return kept


@compiled
def _draw(
    segments: Segments,
    inside: npt.NDArray[np.bool_],
    nm: npt.NDArray[np.float64],
    half: float,
    out: npt.NDArray[np.bool_],
) -> None:
    """Mark the voxels whose centre lies within `half` nm of a segment."""
    ny, nx = nm
    close = 1e-4 * max(ny, nx)  # outlines of masks pass half-way between voxels: ties are common
    down, across = (half + close) / ny, (half + close) / nx
    rows, columns = out.shape
    for s in range(len(segments)):
        ay, ax, by, bx = segments[s]
        dy, dx = (by - ay) * ny, (bx - ax) * nx
        square = dy * dy + dx * dx
        # voxels whose centre, i + 0.5, lies in the box around the segment, grown by half the width
        top, bottom = np.ceil(min(ay, by) - down - 0.5), np.floor(max(ay, by) + down + 0.5)
        left, right = np.ceil(min(ax, bx) - across - 0.5), np.floor(max(ax, bx) + across + 0.5)
        for i in range(max(0, int(top)), min(rows, int(bottom))):
            for j in range(max(0, int(left)), min(columns, int(right))):
                y, x = (i + 0.5 - ay) * ny, (j + 0.5 - ax) * nx
                t = min(1.0, max(0.0, (y * dy + x * dx) / square))
                distance = np.hypot(y - t * dy, x - t * dx)
                if distance < half - close or (inside[i, j] and distance <= half + close):
                    out[i, j] = True
