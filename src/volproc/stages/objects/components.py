"""Connected components of one block, and which of them touch those of its neighbours."""

from __future__ import annotations

from itertools import product
from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.grid.blocks import Connectivity
from volproc.grid.box import Shape

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


def label_components(mask: npt.NDArray[Any], *, connectivity: Connectivity) -> tuple[Labels, int]:
    """Components of one block as ids from 1 (0 is background), and how many there are.

    In a mask all voxels but 0 connect, in integers equal ones do. The same values always get the
    same ids: the second pass counts on it.
    """
    if mask.dtype == np.uint64:  # cc3d 4.1 stops at values that int64 cannot hold
        mask = mask.view(np.int64)
    # cc3d 4.1 sets aside too few ids for arrays of 1 or 3 voxels along an axis that are full of
    # single voxels, and then stops with a RuntimeError; a layer of background gives it enough
    roomy = np.pad(mask, [(0, int(n < 4)) for n in mask.shape]) if min(mask.shape) < 4 else mask
    # one memory order only, because cc3d numbers in memory order
    labels, count = cc3d.connected_components(
        np.ascontiguousarray(roomy), connectivity=connectivity, return_N=True, out_dtype=np.uint32
    )
    if roomy is not mask:
        labels = np.ascontiguousarray(labels[tuple(map(slice, mask.shape))])
    return labels, int(count)


def values_of(labels: Labels, values: npt.NDArray[Any], count: int) -> npt.NDArray[np.int64]:
    """Per id from 1 to `count`, the value of its voxels in `values`; uint64 as the same 64 bits."""
    found = np.zeros(count + 1, dtype=values.dtype)
    found[labels.reshape(-1)] = values.reshape(-1)
    return found[1:].astype(np.int64)


def equal_values(values: npt.NDArray[Any]) -> tuple[Labels, Ids]:
    """Ids from 1 for the values of a block, wherever they are, 0 for 0; and each id's value.

    Values are whole numbers from 0 on.
    """
    whole = np.ascontiguousarray(values)
    flat = whole.reshape(-1).view(np.uint8 if whole.dtype == bool else whole.dtype)
    found = np.sort(_distinct(flat))
    ids = np.zeros(values.shape, dtype=np.uint32)
    if len(found):
        _rank(flat, found, ids.reshape(-1))
    return ids, found


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


def relabel(labels: Labels, table: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`table[labels]`: the block's ids replaced by those of the whole volume.

    In place where `table` is uint32, so that a block needs no second array.
    """
    out = labels if table.dtype == labels.dtype else np.empty(labels.shape, dtype=table.dtype)
    _look_up(labels.reshape(-1), table, out.reshape(-1))
    return out


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


@compiled
def _look_up(labels: Labels, table: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    for i in range(labels.size):
        out[i] = table[labels[i]]


@compiled
def _distinct(values: npt.NDArray[Any]) -> Ids:
    """All values but 0, in any order. Looked up run by run: most voxels are as the one before."""
    found = set()
    last = np.uint64(0)
    found.add(last)
    for i in range(values.size):
        value = np.uint64(values[i])
        if value != last:
            last = value
            found.add(value)
    found.remove(np.uint64(0))
    out = np.empty(len(found), dtype=np.uint64)
    for i, value in enumerate(found):
        out[i] = value
    return out


@compiled
def _rank(values: npt.NDArray[Any], found: Ids, ids: Labels) -> None:
    """The place of each value in `found`, which ascends, from 1 on; 0 stays."""
    last, rank = np.uint64(0), np.uint32(0)
    for i in range(values.size):
        value = np.uint64(values[i])
        if value != last:
            last = value
            rank = np.uint32(np.searchsorted(found, value) + 1) if value else np.uint32(0)
        if rank:
            ids[i] = rank
