"""How many components a block may hold, and which of them touch those of its neighbours."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.grid.blocks import Connectivity
from volproc.grid.box import Shape
from volproc.stages.objects.runs import runs_of

Labels = npt.NDArray[np.uint32]
Ids = npt.NDArray[np.uint64]
"""Ids of objects as a volume has them, whatever its type."""

AXES_THAT_CHANGE: dict[Connectivity, int] = {6: 1, 18: 2, 26: 3}


def most_components(shape: Shape, *, connectivity: Connectivity, classes: bool) -> int:
    """Components that a box can hold at most: the worst case of a plan.

    Of a mask, single voxels that do not touch: a checkerboard, every second voxel of every second
    row, or of every second row of every second slice. Of classes, voxels all different. An odd
    length holds one more than half: of 3 voxels in a row, 2.

    >>> how = {"connectivity": 26, "classes": False}
    >>> most_components((3, 3, 3), **how), most_components((1, 1, 3), **how)
    (8, 2)
    """
    z, y, x = shape
    if classes:
        return z * y * x
    if connectivity == 6:
        return z * -(-y * x // 2)
    plane = -(-y // 2) * -(-x // 2)
    return plane * (z if connectivity == 18 else -(-z // 2))


def most_at_border(shape: Shape, *, connectivity: Connectivity, classes: bool) -> int:
    """Components that can touch the six faces of a box at most, each face by itself."""
    z, y, x = shape
    faces = ((1, y, x), (1, z, x), (1, z, y))
    how: Any = {"connectivity": connectivity, "classes": classes}
    of_faces = sum(2 * most_components(face, **how) for face in faces)
    at_border = z * y * x - max(0, z - 2) * max(0, y - 2) * max(0, x - 2)
    return min(of_faces, at_border)


def equal_values(values: npt.NDArray[Any]) -> tuple[Labels, Ids]:
    """Ids from 1 for the values of a block, wherever they are, 0 for 0; and each id's value.

    Values are whole numbers from 0 on.
    """
    groups = runs_of(values).equal()
    return groups.painted(), groups.values.astype(np.uint64)


def border(labels: Labels, step: Shape) -> Labels:
    """The voxels of a block that face the neighbour at `step`: a face, an edge or a corner.

    >>> border(np.arange(8, dtype=np.uint32).reshape(2, 2, 2), (0, 1, -1)).ravel().tolist()
    [2, 6]
    """
    here = {-1: slice(0, 1), 0: slice(None), 1: slice(-1, None)}
    return labels[tuple(here[s] for s in step)]


def touching_ids(
    near: Labels, far: Labels, *, step: Shape, connectivity: Connectivity
) -> npt.NDArray[np.uint32]:
    """Pairs (id in `near`, id in `far`) of components that touch, each once, shape (n, 2).

    `near` is the border of a block towards the neighbour at `step`, `far` the neighbour's border
    towards the block. What the connectivity leaves after `step` may change within the border:
    a face is crossed straight with 6, also sideways with 18, and diagonally with 26.
    """
    left = AXES_THAT_CHANGE[connectivity] - sum(map(abs, step))
    ways = product(*((0,) if s else (-1, 0, 1) for s in step))
    offsets = np.array([way for way in ways if sum(map(abs, way)) <= left])
    buffer = np.empty(near.size * len(offsets), dtype=np.uint64)
    pairs = np.unique(buffer[: _meet(near, far, offsets, buffer)])
    return np.stack([pairs >> np.uint64(32), pairs], axis=1).astype(np.uint32)


@compiled
def _meet(
    near: Labels, far: Labels, offsets: npt.NDArray[np.int64], out: npt.NDArray[np.uint64]
) -> int:
    """Pairs of ids at any of the offsets, packed into `out`; runs of a pair count once."""
    depth, height, width = near.shape
    last = np.zeros(len(offsets), dtype=np.uint64)
    latest, found = np.uint64(0), 0
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                a = near[z, y, x]
                if a == 0:
                    continue
                for k in range(len(offsets)):
                    v, w, u = z + offsets[k, 0], y + offsets[k, 1], x + offsets[k, 2]
                    if v < 0 or w < 0 or u < 0 or v >= depth or w >= height or u >= width:
                        continue
                    b = far[v, w, u]
                    pair = (np.uint64(a) << np.uint64(32)) | np.uint64(b)
                    # along a border the same two components meet for many voxels: once is enough
                    if b and pair != last[k] and pair != latest:
                        out[found] = pair
                        found += 1
                        latest = pair
                    last[k] = pair
    return found
