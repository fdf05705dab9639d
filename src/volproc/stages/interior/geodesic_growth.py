"""Where an interior and the outside meet: both grow into what is left, without crossing walls."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.grid.box import Shape, each
from volproc.grid.scale import VoxelNm

FREE, INSIDE, OUTSIDE, WALL = 0, 1, 2, 3
"""What a voxel is before the growth; a free one becomes INSIDE, OUTSIDE or stays FREE."""

States = npt.NDArray[np.uint8]
Ways = npt.NDArray[np.int32]
FAR = np.iinfo(np.int32).max // 2
FURTHEST = 2**28
UNITS = 16
"""Units of length in the shortest side of a voxel: whole numbers add up the same in any block."""


def grown(states: States, *, voxel_nm: VoxelNm, reach_nm: float) -> States:
    """The states after inside and outside took the free voxels that are nearest to them, by paths.

    Paths go from face to face, never through walls, and are at most `reach_nm` long; at equal
    length the inside wins. A watershed on the length of the way. A block with the halo of
    `halo_of` gets what the whole volume would.
    """
    steps, reach = _in_units(voxel_nm, reach_nm)
    # length and side in one number, so that the least number is the shortest way, inside first
    ways = np.full(states.shape, FAR, dtype=np.int32)
    ways[states == INSIDE] = 0
    ways[states == OUTSIDE] = 1
    most = 2 * reach + 1
    free = np.flatnonzero(states == FREE)
    while _sweep(free, ways, steps, most):
        pass
    out = states.copy()
    reached = (states == FREE) & (ways <= most)
    out[reached] = np.where(ways[reached] % 2, OUTSIDE, INSIDE)
    return out


def halo_of(reach_nm: float, *, voxel_nm: VoxelNm) -> Shape:
    """Voxels along each axis that a way of `reach_nm` may lead.

    >>> halo_of(600, voxel_nm=VoxelNm((50, 40, 40)))
    (12, 15, 15)
    """
    steps, reach = _in_units(voxel_nm, reach_nm)
    return each(lambda step: reach // step, steps)


def _in_units(voxel_nm: VoxelNm, reach_nm: float) -> tuple[Shape, int]:
    """The three steps between neighbours, and the reach, as whole numbers."""
    unit = min(voxel_nm) / UNITS
    steps = each(lambda size: min(max(1, round(size / unit)), FURTHEST), voxel_nm)
    return steps, int(reach_nm * (1 + 1e-6) / unit)


@compiled
def _sweep(free: npt.NDArray[np.int64], ways: Ways, steps: Shape, most: int) -> bool:
    """Every free voxel looks back, first to last and then last to first; whether one gained."""
    _, height, width = ways.shape
    gained = False
    for i in free:
        z, y, x = i // (width * height), i // width % height, i % width
        gained |= _look(ways, z, y, x, -1, steps, most)
    for i in free[::-1]:
        z, y, x = i // (width * height), i // width % height, i % width
        gained |= _look(ways, z, y, x, 1, steps, most)
    return gained


@compiled
def _look(ways: Ways, z: int, y: int, x: int, to: int, steps: Shape, most: int) -> bool:
    """A shorter way through one of three neighbours, if there is one."""
    depth, height, width = ways.shape
    best = ways[z, y, x]
    if 0 <= z + to < depth:
        best = min(best, ways[z + to, y, x] + 2 * steps[0])
    if 0 <= y + to < height:
        best = min(best, ways[z, y + to, x] + 2 * steps[1])
    if 0 <= x + to < width:
        best = min(best, ways[z, y, x + to] + 2 * steps[2])
    if best > most or best >= ways[z, y, x]:
        return False
    ways[z, y, x] = best
    return True
