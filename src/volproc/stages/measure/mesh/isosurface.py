"""The surface of one object in one block, as triangles between voxels.

A vertex lies on the edge from a voxel inside to its neighbour outside, and is known by that edge:
the edges are those of the volume's grid, so neighbouring blocks find the same vertices on the
border they share, and joining them leaves no crack. Where on the edge a vertex lies, in 256ths of
it, says the smooth field; never beyond a voxel's centre, so the surface has every centre on its
right side, and nothing vanishes however thin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.grid.box import Box, Shape
from volproc.stages.measure.mesh.marching_cubes import triangle_table
from volproc.stages.measure.mesh.smooth_field import Field

PARTS = 256
"""An edge of the grid in whole numbers, so that sums do not depend on their order."""
NEAREST = 8
"""Vertices keep this distance, in 256ths, from the voxel's centre: no triangle has no area."""
HALF = PARTS // 2

_TABLE = triangle_table()
_COUNTS = (_TABLE[:, :, 0] >= 0).sum(axis=1).astype(np.uint8)

Bytes = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int32]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Surface:
    """Triangles of one object. Vertex i lies `shares[i]` 256ths along the grid edge `codes[i]`.

    `codes` ascend. The code of the edge from voxel v along axis a is 3 x (raster number of v) + a,
    in a raster that begins one voxel before the volume.
    """

    codes: Codes
    shares: Bytes
    triangles: Indices


def extract(
    mask: npt.NDArray[np.bool_], field: Field, *, window: Box, origin: Shape, shape: Shape
) -> Surface:
    """The surface between the voxels of `window`, counted from the first voxel of `mask`.

    `mask` holds an object and a voxel around it, as far as the volume goes; it begins at voxel
    `origin` of a volume of `shape`. A window that reaches one voxel beyond the volume closes the
    object there, with a flat cut on the volume's border.
    """
    inside = np.pad(mask, 1).view(np.uint8)
    size, start = window.shape, window.start
    marks = np.zeros(size, dtype=np.uint8)
    before = np.zeros(size, dtype=np.int32)
    count = _mark(inside, start, marks, before)
    codes = np.empty(count, dtype=np.int64)
    shares = np.empty(count, dtype=np.uint8)
    _place(inside, field, start, marks, origin, shape, codes, shares)
    triangles = np.empty((_count(inside, start, size, _COUNTS), 3), dtype=np.int32)
    _connect(inside, start, marks, before, _TABLE, _COUNTS, triangles)
    return Surface(codes, shares, triangles)


def points(surface: Surface, *, shape: Shape) -> Codes:
    """Vertices in 256ths of a voxel from the centre of the volume's first voxel, (n, 3)."""
    voxel, axis = np.divmod(surface.codes, 3)
    _, rows, columns = (n + 1 for n in shape)
    place = np.stack([voxel // (rows * columns), voxel // columns % rows, voxel % columns], axis=1)
    place -= 1  # the raster begins a voxel before the volume
    place *= PARTS
    place[np.arange(len(place)), axis] += surface.shares
    return place


@compiled
def _mark(inside: Bytes, start: Shape, marks: Bytes, before: Indices) -> int:
    """Which edges of the window's voxels cross the surface, and how many voxels before do."""
    depth, height, width = marks.shape
    count = 0
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                a, b, c = z + start[0] + 1, y + start[1] + 1, x + start[2] + 1
                here = inside[a, b, c]
                mark = 0
                if z + 1 < depth and inside[a + 1, b, c] != here:
                    mark |= 1
                if y + 1 < height and inside[a, b + 1, c] != here:
                    mark |= 2
                if x + 1 < width and inside[a, b, c + 1] != here:
                    mark |= 4
                marks[z, y, x] = mark
                before[z, y, x] = count
                count += (mark & 1) + (mark >> 1 & 1) + (mark >> 2)
    return count


@compiled
def _place(
    inside: Bytes,
    field: Field,
    start: Shape,
    marks: Bytes,
    origin: Shape,
    shape: Shape,
    codes: Codes,
    shares: Bytes,
) -> None:
    """Code and share of every vertex, in the order of the codes."""
    depth, height, width = marks.shape
    n = 0
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                mark = marks[z, y, x]
                if mark == 0:
                    continue
                a, b, c = z + start[0], y + start[1], x + start[2]
                row = (np.int64(a + origin[0] + 1) * (shape[1] + 1)) + b + origin[1] + 1
                voxel = row * (shape[2] + 1) + c + origin[2] + 1
                for axis in range(3):
                    if mark >> axis & 1:
                        codes[n] = 3 * voxel + axis
                        shares[n] = _share(inside, field, (a, b, c), axis)
                        n += 1


@compiled
def _share(inside: Bytes, field: Field, lower: Shape, axis: int) -> int:
    """How far along its edge a vertex lies; the middle where the edge leaves the volume."""
    dz, dy, dx = int(axis == 0), int(axis == 1), int(axis == 2)
    z, y, x = lower
    along = field.shape[axis]
    at = lower[axis]
    if at < 0 or at + 1 >= along:
        return HALF
    low = inside[z + 1, y + 1, x + 1] == 1
    ends = field[z, y, x], field[z + dz, y + dy, x + dx]
    # the field must not contradict the mask: a vertex lies between the two voxels
    within = max(ends[0] if low else ends[1], np.float32(0.501))
    without = min(ends[1] if low else ends[0], np.float32(0.499))
    share = (within - np.float32(0.5)) / (within - without)
    # of what is one voxel thin, an object or a gap, half a voxel is left on either side: the
    # field may not reach 0.5 there. Beyond the volume things go on as they end.
    back = inside[z + 1 - dz, y + 1 - dy, x + 1 - dx] if at > 0 else np.uint8(low)
    ahead = inside[z + 1 + 2 * dz, y + 1 + 2 * dy, x + 1 + 2 * dx]
    if at + 2 >= along:
        ahead = np.uint8(not low)
    behind, beyond = (back, ahead) if low else (ahead, back)
    if behind == 0:
        share = max(share, np.float32(0.5))
    if beyond == 1:
        share = min(share, np.float32(0.5))
    parts = int(share * PARTS + np.float32(0.5))
    parts = min(max(parts, NEAREST), PARTS - NEAREST)
    return parts if low else PARTS - parts


@compiled
def _cube(inside: Bytes, a: int, b: int, c: int) -> int:
    """The number of the cube whose lowest corner is voxel (a, b, c) of the padded mask."""
    return int(
        inside[a, b, c]
        | inside[a, b, c + 1] << 1
        | inside[a, b + 1, c] << 2
        | inside[a, b + 1, c + 1] << 3
        | inside[a + 1, b, c] << 4
        | inside[a + 1, b, c + 1] << 5
        | inside[a + 1, b + 1, c] << 6
        | inside[a + 1, b + 1, c + 1] << 7
    )


@compiled
def _count(inside: Bytes, start: Shape, size: Shape, counts: Bytes) -> int:
    found = 0
    for z in range(size[0] - 1):
        for y in range(size[1] - 1):
            for x in range(size[2] - 1):
                found += counts[_cube(inside, z + start[0] + 1, y + start[1] + 1, x + start[2] + 1)]
    return found


@compiled
def _connect(
    inside: Bytes,
    start: Shape,
    marks: Bytes,
    before: Indices,
    table: npt.NDArray[Any],
    counts: Bytes,
    triangles: Indices,
) -> None:
    depth, height, width = marks.shape
    n = 0
    for z in range(depth - 1):
        for y in range(height - 1):
            for x in range(width - 1):
                cube = _cube(inside, z + start[0] + 1, y + start[1] + 1, x + start[2] + 1)
                for t in range(counts[cube]):
                    for corner in range(3):
                        edge = table[cube, t, corner]
                        voxel, axis = edge // 3, edge % 3
                        a, b, c = z + (voxel >> 2), y + (voxel >> 1 & 1), x + (voxel & 1)
                        earlier = marks[a, b, c] & ((1 << axis) - 1)
                        triangles[n, corner] = before[a, b, c] + (earlier & 1) + (earlier >> 1 & 1)
                    n += 1
