"""The surface of one object in one block, as triangles between voxels.

A vertex is on the edge from the centre of a voxel inside to that of its neighbour outside:

    o--x..o..o      o  voxel inside     .  voxel outside     x  vertex, a share of the edge away
    |  |            the edges are those of the volume's grid, so two blocks find the same vertices
    x--x            on the border they share, and joining their surfaces leaves no crack

The smooth field places the vertex on its edge, in 256ths, never beyond a voxel's centre: so every
centre is on its right side of the surface, and nothing vanishes however thin.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.grid.box import Box, Shape
from volproc.stages.measure.mesh.marching_cubes import triangle_table
from volproc.stages.measure.mesh.smooth_field import Field

PARTS = 256
"""An edge of the grid in whole numbers, so that sums do not depend on their order."""
MARGIN = 8
"""Vertices keep this distance, in 256ths, from the voxel's centre: else triangles without area."""
HALF = PARTS // 2

_TABLE = triangle_table()
_COUNTS = (_TABLE[:, :, 0] >= 0).sum(axis=1).astype(np.uint8)
_CROSSINGS = np.array([0, 1, 1, 2, 1, 2, 2, 3], dtype=np.uint8)
"""Bits of a mark."""

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
    seen = inside[window.shift((1, 1, 1)).slices]
    marks = _crossed_edges(seen)
    crossings = _CROSSINGS[marks]
    before = np.cumsum(crossings, dtype=np.int32).reshape(marks.shape)
    before -= crossings
    cubes = _cubes(seen)
    count = int(crossings.sum())
    codes, shares = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.uint8)
    _place(inside, field, window.start, marks, origin, shape, codes, shares)
    triangles = np.empty((int(_COUNTS[cubes].sum(dtype=np.int64)), 3), dtype=np.int32)
    _connect(cubes, marks, before, _TABLE, _COUNTS, triangles)
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


def _crossed_edges(seen: Bytes) -> Bytes:
    """Which of a voxel's edges to the next along z, y, x cross the surface: bits 1, 2 and 4."""
    marks = np.zeros(seen.shape, dtype=np.uint8)
    marks[:-1] |= seen[1:] ^ seen[:-1]
    marks[:, :-1] |= (seen[:, 1:] ^ seen[:, :-1]) << 1
    marks[:, :, :-1] |= (seen[:, :, 1:] ^ seen[:, :, :-1]) << 2
    return marks


def _cubes(seen: Bytes) -> Bytes:
    """The number of the cube above each voxel but the last ones: bit n is its corner n."""
    depth, height, width = (n - 1 for n in seen.shape)
    cubes = np.zeros((depth, height, width), dtype=np.uint8)
    for corner, (z, y, x) in enumerate(product((0, 1), repeat=3)):
        cubes |= seen[z : z + depth, y : y + height, x : x + width] << corner
    return cubes


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
                # of the raster that begins a voxel before the volume, where closed surfaces end
                row = (np.int64(a + origin[0] + 1) * (shape[1] + 1)) + b + origin[1] + 1
                voxel = row * (shape[2] + 1) + c + origin[2] + 1
                for axis in range(3):
                    if mark >> axis & 1:
                        codes[n] = 3 * voxel + axis
                        shares[n] = _share(inside, field, (a, b, c), axis)
                        n += 1


@compiled
def _share(inside: Bytes, field: Field, lower: Shape, axis: int) -> int:
    """The share of its edge at which a vertex is; the middle where the edge leaves the volume."""
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
    # Along the edge, the vertex x lies between two voxels:
    #   behind  inner  x  outer  beyond
    #     .       o          .      .      an object one voxel thin: behind is outside
    #     o       o          .      o      a gap one voxel thin: beyond is inside
    # Either keeps half a voxel on that side, for the field may not reach 0.5 there. Beyond the
    # volume all goes on as it ends.
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
    parts = min(max(parts, MARGIN), PARTS - MARGIN)
    return parts if low else PARTS - parts


@compiled
def _connect(
    cubes: Bytes,
    marks: Bytes,
    before: Indices,
    table: npt.NDArray[Any],
    counts: Bytes,
    triangles: Indices,
) -> None:
    """The triangles of every cube, whose corners are vertices by their number.

    A vertex lies on an edge, and an edge belongs to the voxel where it begins. `before` counts the
    vertices of all voxels before that one; the bits of its mark, those of its own earlier edges.
    """
    depth, height, width = cubes.shape
    n = 0
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                cube = cubes[z, y, x]
                for t in range(counts[cube]):
                    for corner in range(3):
                        edge = table[cube, t, corner]
                        voxel, axis = edge // 3, edge % 3
                        a, b, c = z + (voxel >> 2), y + (voxel >> 1 & 1), x + (voxel & 1)
                        earlier = marks[a, b, c] & ((1 << axis) - 1)
                        triangles[n, corner] = before[a, b, c] + (earlier & 1) + (earlier >> 1 & 1)
                    n += 1
