"""In how many components a slice shows each object: 8-connected, within z slices.

A component may extend over several blocks. Each block numbers its own and keeps the numbers along
its four sides; components that touch across a side are joined once all blocks are there.
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
from volproc.stages.objects.components import Ids, Labels, border, touching_ids
from volproc.stages.objects.runs import Runs

SIDES: tuple[Shape, ...] = ((0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))
"""Steps to the neighbours within a slice. Those across edges are found along these sides."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BlockComponents:
    """Components of one block: `places` has a row (object's id, slice) for each.

    `sides` are their numbers, from 1, along the block's sides; 0 is background.
    """

    places: Ids
    sides: dict[Shape, Labels]


@dataclass(frozen=True)
class SliceCounts:
    """Per object, by ascending id: its slices, components in all of them, most in one slice."""

    ids: Ids
    slices: Integers
    components: Integers
    most: Integers


def block_components(runs: Runs, *, first: int) -> BlockComponents:
    """Components of the objects of a block from slice `first` on, whose runs have their ids."""
    found = runs.connected("slices")
    slices = first + found.first_rows // runs.shape[1]
    # both of ids' type: int64 with uint64 is float64
    places = np.stack([found.values.astype(np.uint64), slices.astype(np.uint64)], axis=1)
    return BlockComponents(places, {step: found.border(step) for step in SIDES})


def slice_counts(
    tiling: Tiling, places: Callable[[int], Ids], side: Callable[[int, Shape], Labels]
) -> SliceCounts:
    """Counts of every object from the `places` and the sides of each block's components."""
    found = [places(index) for index in range(len(tiling))]
    before = np.cumsum([0, *map(len, found)])
    rows = np.concatenate(found)
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for first, second, step in tiling.touching(26):
        if step[0] == 0:
            nodes = _touching(side, first, second, step).astype(np.int64) - 1
            nodes += np.array([before[first], before[second]])
            # 26 neighbours include those in other slices and of other objects
            pairs.append(nodes[(rows[nodes[:, 0]] == rows[nodes[:, 1]]).all(axis=1)])
    edges = np.concatenate(pairs).T
    graph = coo_array((np.ones(edges.shape[1], bool), tuple(edges)), shape=(len(rows), len(rows)))
    _, group = connected_components(graph, directed=False) if len(rows) else (0, np.empty(0, int))
    _, one_of_each = np.unique(group, return_index=True)
    return _counts(rows[one_of_each])


def _touching(
    side: Callable[[int, Shape], Labels], first: int, second: int, step: Shape
) -> npt.NDArray[np.uint32]:
    back = each(lambda s: -s, step)
    near, far = border(side(first, _side(step)), step), border(side(second, _side(back)), back)
    return touching_ids(near, far, step=step, connectivity=26)


def _side(step: Shape) -> Shape:
    """The side through which a step leaves the block; the edges are parts of the y sides."""
    return (0, step[1], 0) if step[1] else (0, 0, step[2])


def _counts(places: Ids) -> SliceCounts:
    """From (id, slice) of every component."""
    known, components = np.unique(places, axis=0, return_counts=True)
    ids, begin = np.unique(known[:, 0], return_index=True)
    slices = np.diff(np.append(begin, len(known)))
    if not len(ids):
        return SliceCounts(ids, slices, slices, slices)
    return SliceCounts(
        ids, slices, np.add.reduceat(components, begin), np.maximum.reduceat(components, begin)
    )
