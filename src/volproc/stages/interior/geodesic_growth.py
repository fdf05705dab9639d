"""Where an interior and the outside meet: both grow into the free voxels, not through walls."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.grid.box import Shape, each
from volproc.grid.scale import VoxelNm
from volproc.stages.array_namespace import namespace_of
from volproc.stages.offset_distance import towards

FREE, INSIDE, OUTSIDE, WALL = 0, 1, 2, 3
"""What a voxel is before the growth; a free one becomes INSIDE, OUTSIDE or stays FREE."""

States = npt.NDArray[np.uint8]
Lengths = npt.NDArray[np.int32]
FAR = np.iinfo(np.int32).max // 2
MAX_STEP = 2**28
"""Longer voxels than this are walls: sums of two steps still fit in 32 bits."""
UNITS = 16
"""Units of length in the shortest side of a voxel: whole numbers add up the same in any block."""


def grown(states: States, *, voxel_nm: VoxelNm, reach_nm: float) -> States:
    """The states after inside and outside took the free voxels that are nearest to them by paths.

    Paths lead from face to face, never through walls, and are at most `reach_nm` long; at equal
    length the inside wins. That is a watershed on the path length. A block with the halo of
    `halo_of` gets what the whole volume would.

    On a CPU free voxels are visited one by one, on a GPU all at once, until no path gets shorter:
    lengths are whole numbers, so both end alike.
    """
    steps, reach = _in_units(voxel_nm, reach_nm)
    xp = namespace_of(states).xp
    # length and side in one number, 2 x length + side: the lowest is the shortest path, and of
    # equally long ones that from inside (even) comes before that from outside (odd)
    lengths = xp.full(states.shape, FAR, dtype=np.int32)
    lengths[states == INSIDE] = 0
    lengths[states == OUTSIDE] = 1
    longest = 2 * reach + 1
    free = states == FREE
    if isinstance(states, np.ndarray):
        places = np.flatnonzero(free)
        while _sweep(places, lengths, steps, longest):
            pass
    else:
        shorten_all(lengths, free, steps, reach)
    out = states.copy()
    reached = free & (lengths <= longest)
    out[reached] = (INSIDE + lengths[reached] % 2).astype(out.dtype)  # odd is OUTSIDE
    return out


def shorten_all(lengths: Any, free: Any, steps: Shape, reach: int) -> None:
    """Paths to all `free` voxels, in place, in whole arrays: each round leads a step farther.

    After as many rounds as the reach has steps, every path within it is as short as it can be.
    """
    xp = namespace_of(lengths).xp
    for _ in range(reach // min(steps)):
        before = lengths.copy()
        for axis, step in enumerate(steps):
            (first, last), (to_first, to_last) = (towards(a, axis, 1) for a in (lengths, free))
            xp.minimum(first, xp.where(to_first, last + 2 * step, FAR), out=first)
            xp.minimum(last, xp.where(to_last, first + 2 * step, FAR), out=last)
        if not (lengths < before).any():
            return


def halo_of(reach_nm: float, *, voxel_nm: VoxelNm) -> Shape:
    """Voxels along each axis that a path of `reach_nm` may lead.

    >>> halo_of(600, voxel_nm=VoxelNm((50, 40, 40)))
    (12, 15, 15)
    """
    steps, reach = _in_units(voxel_nm, reach_nm)
    return each(lambda step: reach // step, steps)


def _in_units(voxel_nm: VoxelNm, reach_nm: float) -> tuple[Shape, int]:
    """The three steps between neighbours, and the reach, as whole numbers."""
    unit = min(voxel_nm) / UNITS
    steps = each(lambda size: min(round(size / unit), MAX_STEP), voxel_nm)
    return steps, int(reach_nm * (1 + 1e-6) / unit)


@compiled
def _sweep(free: npt.NDArray[np.int64], lengths: Lengths, steps: Shape, longest: int) -> bool:
    """Shorten the paths of all free voxels, first to last and then last to first; whether one was.

    Like Dijkstra's algorithm without a queue: paths that follow the order of a sweep are found at
    once, so a few sweeps do, one more for each turn against it.
    """
    _, height, width = lengths.shape
    gained = False
    for i in free:
        z, y, x = i // (width * height), i // width % height, i % width
        gained |= _look(lengths, z, y, x, -1, steps, longest)
    for i in free[::-1]:
        z, y, x = i // (width * height), i // width % height, i % width
        gained |= _look(lengths, z, y, x, 1, steps, longest)
    return gained


@compiled
def _look(lengths: Lengths, z: int, y: int, x: int, to: int, steps: Shape, longest: int) -> bool:
    """Take a shorter path through one of the three neighbours before (-1) or behind (1) a voxel."""
    depth, height, width = lengths.shape
    best = lengths[z, y, x]
    if 0 <= z + to < depth:
        best = min(best, lengths[z + to, y, x] + 2 * steps[0])
    if 0 <= y + to < height:
        best = min(best, lengths[z, y + to, x] + 2 * steps[1])
    if 0 <= x + to < width:
        best = min(best, lengths[z, y, x + to] + 2 * steps[2])
    if best > longest or best >= lengths[z, y, x]:
        return False
    lengths[z, y, x] = best
    return True
