"""In how many pieces a slice shows each object: 2D components, 8-connected, within z slices.

A piece may lie in several blocks. Blocks count theirs and keep the ids along their sides; pieces
that touch across a side are one piece less, once for each that is joined to the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from volproc.grid.blocks import Tiling
from volproc.grid.box import Shape, each
from volproc.stages.objects.components import (
    Ids,
    Labels,
    border,
    label_components,
    touching_ids,
)
from volproc.stages.objects.statistics import block_statistics

SIDES: tuple[Shape, ...] = ((0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))
"""Steps to the neighbours within a slice, but for those across edges."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pieces:
    """Pieces of one block: `places` are (object's id, slice), a row for each of `pieces`.

    `sides` are the pieces along the block's sides, 0 where there is none.
    """

    places: Ids
    sides: dict[Shape, Labels]


@dataclass(frozen=True)
class Fragments:
    """Of each object, in the order of its id: slices it is in, pieces in all, most in one slice."""

    ids: Ids
    slices: Integers
    pieces: Integers
    most: Integers


def block_pieces(local: Labels, ids: Ids, *, first: int) -> Pieces:
    """Pieces of the objects of a block from slice `first` on; `ids[i]` is i + 1 in `local`."""
    # equal values connect: with other values in every other slice, only within slices
    apart = 2 * local
    np.add(apart[1::2], 1, out=apart[1::2], where=local[1::2] > 0)
    pieces, count = label_components(apart, connectivity=26)
    found = block_statistics(pieces, count, origin=(0, 0, 0), shape=local.shape)
    objects = local.reshape(-1)[found.first]
    slices = (found.start[:, 0] + first).astype(np.uint64)  # as ids: int64 with uint64 is float64
    places = np.stack([ids[objects - 1], slices], axis=1)
    return Pieces(places, {step: border(pieces, step).copy() for step in SIDES})


def no_pieces(shape: Shape) -> Pieces:
    """Those of a block of `shape` without objects."""
    nothing = np.broadcast_to(np.uint32(0), shape)
    return Pieces(
        np.empty((0, 2), dtype=np.uint64), {step: border(nothing, step).copy() for step in SIDES}
    )


def fragments(
    tiling: Tiling,
    places: Callable[[int], Ids],
    side: Callable[[int, Shape], Labels],
) -> Fragments:
    """Fragments of every object from `places` of the pieces of a block, and their sides."""
    found = [places(index) for index in range(len(tiling))]
    before = np.cumsum([0, *map(len, found)])
    rows = np.concatenate(found)
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for first, second, step in tiling.touching(26):
        if step[0] == 0:
            nodes = _touching(side, first, second, step).astype(np.int64) - 1
            nodes += np.array([before[first], before[second]])
            # of 26 neighbours also those in other slices and of other objects were found
            pairs.append(nodes[(rows[nodes[:, 0]] == rows[nodes[:, 1]]).all(axis=1)])
    edges = np.concatenate(pairs).T
    once = np.ones(edges.shape[1], dtype=bool)
    graph = coo_array((once, (edges[0], edges[1])), shape=(len(rows), len(rows)))
    _, group = connected_components(graph, directed=False) if len(rows) else (0, np.empty(0, int))
    _, one_of_each = np.unique(group, return_index=True)
    return _counted(rows[one_of_each])


def _touching(
    side: Callable[[int, Shape], Labels], first: int, second: int, step: Shape
) -> npt.NDArray[np.uint32]:
    """Pairs of pieces of two blocks that touch."""
    back = each(lambda s: -s, step)
    near, far = border(side(first, _side(step)), step), border(side(second, _side(back)), back)
    return touching_ids(near, far, step=step, connectivity=26)


def _side(step: Shape) -> Shape:
    """The side that is kept on which a step leaves the block: an edge is a part of one."""
    return (0, step[1], 0) if step[1] else (0, 0, step[2])


def _counted(places: Ids) -> Fragments:
    """From (id, slice) of every piece."""
    known, pieces = np.unique(places, axis=0, return_counts=True)
    ids, begin = np.unique(known[:, 0], return_index=True)
    slices = np.diff(np.append(begin, len(known)))
    if not len(ids):
        return Fragments(ids, slices, slices, slices)
    total, most = np.add.reduceat(pieces, begin), np.maximum.reduceat(pieces, begin)
    return Fragments(ids, slices, total, most)
