"""Distances in nm up to a stated one: what lies near an envelope.

Sums of squares are taken in the same order everywhere, and nothing farther than the stated
distance counts: a block that reads so much around itself finds the same bits as the whole volume.
"""

from __future__ import annotations

from math import floor

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.grid.box import Shape, each
from volproc.grid.scale import VoxelNm

Mask = npt.NDArray[np.bool_]
Squares = npt.NDArray[np.float32]

FORGIVEN = 1 + 1e-6
"""Of a distance, so that three voxels of 0.1 nm are within 0.3 nm."""

APART_NM = 1e9


def reach_voxels(reach_nm: float, *, voxel_nm: VoxelNm) -> Shape:
    """Whole voxels along each axis within a distance: the halo that it needs.

    >>> reach_voxels(300, voxel_nm=VoxelNm((50, 40, 40)))
    (6, 7, 7)
    """
    return each(lambda size: floor(reach_nm * FORGIVEN / size), voxel_nm)


def with_slices_apart(voxel_nm: VoxelNm, axis: int | None) -> VoxelNm:
    """The voxel size, or one so long along `axis` that nothing reaches from a slice to the next."""
    return VoxelNm(each(lambda at, v: APART_NM if at == axis else v, range(3), voxel_nm))


def near(mask: Mask, *, voxel_nm: VoxelNm, reach_nm: float) -> Mask:
    """Voxels whose centre is at most `reach_nm` from the centre of one of the mask."""
    reached: Mask = squared_nm(mask, voxel_nm=voxel_nm, reach_nm=reach_nm) < np.inf
    return reached


def squared_nm(mask: Mask, *, voxel_nm: VoxelNm, reach_nm: float) -> Squares:
    """Squared distance in nm² from each voxel to the nearest of the mask; inf beyond `reach_nm`.

    Exact: axis by axis, as separable squares allow (Saito and Toriwaki, Pattern Recognition
    27:1551, 1994), over the offsets within reach only.
    """
    squares = [
        ((np.arange(n + 1) * size) ** 2).astype(np.float32)
        for n, size in zip(reach_voxels(reach_nm, voxel_nm=voxel_nm), voxel_nm, strict=True)
    ]
    found = np.full(mask.shape, np.inf, dtype=np.float32)
    _along_x(mask, squares[2], found)
    for z in range(mask.shape[0]):
        _between_rows(found[z], squares[1])
    for y in range(mask.shape[1]):
        _between_rows(found[:, y], squares[0])
    found[found > np.float32((reach_nm * FORGIVEN) ** 2)] = np.inf
    return found


@compiled
def _along_x(mask: Mask, squares: Squares, out: Squares) -> None:
    """Squared distance to the nearest voxel of the mask in the same row."""
    depth, height, width = mask.shape
    reach = len(squares) - 1
    for z in range(depth):
        for y in range(height):
            last = -reach - 1
            for x in range(width):
                if mask[z, y, x]:
                    last = x
                if x - last <= reach:
                    out[z, y, x] = squares[x - last]
            last = width + reach
            for x in range(width - 1, -1, -1):
                if mask[z, y, x]:
                    last = x
                if last - x <= reach:
                    out[z, y, x] = min(out[z, y, x], squares[last - x])


@compiled
def _between_rows(plane: Squares, squares: Squares) -> None:
    """In place, the least over all rows within reach of their value and the way to them."""
    rows, columns = plane.shape
    before = plane.copy()
    some = np.zeros(rows, dtype=np.bool_)
    for row in range(rows):
        for column in range(columns):
            if before[row, column] < np.inf:
                some[row] = True
                break
    for row in range(rows):
        for other in range(max(0, row - len(squares) + 1), min(rows, row + len(squares))):
            if some[other] and other != row:
                way = squares[abs(other - row)]
                for column in range(columns):
                    plane[row, column] = min(plane[row, column], before[other, column] + way)
