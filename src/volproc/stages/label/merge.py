"""From the components of blocks to the objects of the volume.

Blocks report small tables; only components at a border between blocks (2 to 4% of all) can be parts
of something larger. They become the nodes of one graph, touching ones its edges:

    block 0, ids 1 2 3 4, at a border 2 4:  nodes 0 1     4 of block 0 touches 1 of block 1:
    block 1, ids 1 2 3,   at a border 1:    node  2       an edge between nodes 1 and 2
    objects: {node 0}, {nodes 1 and 2}, and each component inside a block, unless too small

Objects are numbered 1 to n in the order of their first voxels in the whole volume, read row by
row, so the numbers do not depend on how it was cut. Memory grows with border components and kept
objects, not with voxels or dust.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from volproc.grid.blocks import Block, Connectivity, Tiling, forward_steps
from volproc.grid.box import Shape, each
from volproc.stages.label.components import Labels, border, touching_ids
from volproc.stages.label.filter import kept
from volproc.stages.label.statistics import Integers, Statistics, block_statistics, joined

Pairs = Iterable[tuple[int, int, npt.NDArray[np.uint32]]]
"""(first block, second block, pairs of their ids that touch)."""


@dataclass(frozen=True)
class BlockTable:
    """What one block tells the merge: `count` components, all but the dust in one of two tables."""

    count: int
    border_ids: Labels
    border: Statistics
    inner_ids: Labels
    inner: Statistics

    @property
    def dropped(self) -> int:
        """Components that are dust, certain to be dropped."""
        return self.count - len(self.border_ids) - len(self.inner_ids)


@dataclass(frozen=True)
class Merged:
    """Objects 1 to n of the whole volume, and what became of every block's components."""

    objects: Statistics
    dropped: int
    tables: tuple[BlockTable, ...]
    border_ids: tuple[npt.NDArray[Any], ...]
    """Per block, the final ids of its components at a border; 0 for those that are dropped."""
    inner_ids: tuple[npt.NDArray[Any], ...]
    """Per block, the final ids of its components inside."""

    @property
    def dtype(self) -> str:
        """The type of the final ids: uint32 if all of them fit."""
        return str(self.inner_ids[0].dtype)

    def lookup(self, index: int) -> npt.NDArray[Any]:
        """What block `index` puts in place of each of its own ids; 0 for those that are dropped."""
        table = self.tables[index]
        final = np.zeros(table.count + 1, dtype=self.dtype)
        final[table.border_ids] = self.border_ids[index]
        final[table.inner_ids] = self.inner_ids[index]
        return final


def block_borders(
    labels: Labels, block: Block, *, tiling: Tiling, connectivity: Connectivity
) -> dict[Shape, Labels]:
    """A block's ids towards each neighbour that exists, by the step that leads there."""
    forward = forward_steps(connectivity)
    steps = (*forward, *(each(lambda s: -s, step) for step in forward))
    here = tiling.position(block.index)
    return {
        step: border(labels, step)
        for step in steps
        if all(0 <= p + s < n for p, s, n in zip(here, step, tiling.counts, strict=True))
    }


def block_table(
    labels: Labels,
    count: int,
    *,
    block: Block,
    shape: Shape,
    borders: Mapping[Shape, Labels],
    minimum: int,
) -> BlockTable:
    """Statistics of a block's components, sorted into those at a border, those inside, and dust."""
    parts = block_statistics(labels, count, origin=block.core.start, shape=shape)
    at_border = np.zeros(count + 1, dtype=bool)
    for values in borders.values():
        at_border[values.reshape(-1)] = True
    at_border = at_border[1:]
    # only here may size be judged early: what touches a border can be the tip of a large object
    inside = ~at_border & kept(parts, minimum=minimum)
    return BlockTable(
        count=count,
        border_ids=_ids(at_border),
        border=parts.take(at_border),
        inner_ids=_ids(inside),
        inner=parts.take(inside),
    )


def touching_pairs(
    tiling: Tiling, *, connectivity: Connectivity, load: Callable[[int, Shape], Labels]
) -> Iterator[tuple[int, int, npt.NDArray[np.uint32]]]:
    """Ids that touch across every border; `load` gives a block's border towards a step.

    For a border without foreground `load` may give an empty array.
    """
    for first, second, step in tiling.touching(connectivity):
        near, far = load(first, step), load(second, each(lambda s: -s, step))
        if near.any() and far.any():
            pairs = touching_ids(near, far, step=step, connectivity=connectivity)
            yield first, second, pairs


def merge(tables: Iterable[BlockTable], pairs: Pairs, *, minimum: int) -> Merged:
    """The objects of the volume from the tables of its blocks, in block order, and touching pairs.

    Sizes are judged here, on whole objects.
    """
    known = tuple(tables)
    nodes_before = _running_total(len(table.border_ids) for table in known)
    group, groups = _components(_edges(known, pairs, nodes_before), nodes=int(nodes_before[-1]))
    unions = joined(table.border for table in known).merged(group, count=groups)
    keep = kept(unions, minimum=minimum)
    objects = joined([unions.take(keep), *(table.inner for table in known)])
    ids = _ranks(objects.first)
    of_group = np.zeros(groups, dtype=ids.dtype)
    of_group[keep] = ids[: keep.sum()]
    inner_before = _running_total(len(table.inner_ids) for table in known)
    return Merged(
        objects=objects.take(np.argsort(ids)),
        dropped=sum(table.dropped for table in known) + int((~keep).sum()),
        tables=known,
        border_ids=tuple(np.split(of_group[group], nodes_before[1:-1])),
        inner_ids=tuple(np.split(ids[keep.sum() :], inner_before[1:-1])),
    )


def _ids(chosen: npt.NDArray[np.bool_]) -> Labels:
    return (np.flatnonzero(chosen) + 1).astype(np.uint32)


def _ranks(first: Integers) -> npt.NDArray[Any]:
    """1 for the lowest, n for the highest of n different numbers; uint32 if n fits."""
    ranks = np.empty(len(first), dtype=np.uint32 if len(first) < 2**32 else np.uint64)
    ranks[np.argsort(first)] = np.arange(1, len(first) + 1)
    return ranks


def _running_total(counts: Iterable[int]) -> Integers:
    return np.cumsum([0, *counts], dtype=np.int64)


def _edges(tables: tuple[BlockTable, ...], pairs: Pairs, nodes_before: Integers) -> Integers:
    """Touching pairs as pairs of nodes, shape (2, m)."""

    def nodes(index: int, ids: npt.NDArray[np.uint32]) -> Integers:
        found = np.searchsorted(tables[index].border_ids, ids)
        return np.asarray(nodes_before[index] + found, dtype=np.int64)

    found = [
        np.stack([nodes(first, ids[:, 0]), nodes(second, ids[:, 1])])
        for first, second, ids in pairs
    ]
    return np.concatenate([np.empty((2, 0), dtype=np.int64), *found], axis=1)


def _components(edges: Integers, *, nodes: int) -> tuple[npt.NDArray[np.int32], int]:
    """The group of every node and the number of groups."""
    if not nodes:
        return np.empty(0, dtype=np.int32), 0
    once = np.ones(edges.shape[1], dtype=bool)
    graph = coo_array((once, (edges[0], edges[1])), shape=(nodes, nodes))
    groups, group = connected_components(graph, directed=False)
    return group, groups
