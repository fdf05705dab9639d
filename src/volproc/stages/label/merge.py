"""From the components of blocks to the objects of the volume.

Blocks report small tables; only components at a border between blocks (2 to 4% of all) may belong
to a larger object. They become the nodes of one graph, pairs that touch its edges:

    block 0, ids 1 2 3 4, at a border 2 4:  nodes 0:2 0:4     4 of block 0 touches 1 of block 1:
    block 1, ids 1 2 3,   at a border 1:    node  1:1         an edge between 0:4 and 1:1
    objects: {0:2}, {0:4, 1:1}, and each component inside a block, unless too small

This is done twice. Blocks are merged in groups first (`merge_task.py`); an object that may continue
beyond its group is a node again when groups are merged, through the components that touch across:

    group A                  | group B
    0:4 - 1:1 - 2:7  open 0  |  3:1  open 0          crossing: (2:7, 3:1)

So no process ever has more in memory than a group's tables, or the open objects of all groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from volproc.stages.label.block_table import BlockTable
from volproc.stages.label.criteria import RULES, Criteria
from volproc.stages.objects.statistics import Integers, Statistics, joined

Names = npt.NDArray[np.uint64]
"""Components of all blocks: the block's index in the upper 32 bits, the block's id in the lower."""

Touching = Iterable[tuple[int, int, npt.NDArray[np.uint32]]]
"""(first block, second block, pairs of their ids that touch)."""


@dataclass(frozen=True)
class OpenObjects:
    """Objects of a group that may continue beyond it, and through which components.

    `vertex` is the object of each of the sorted `names`; `crossing` are pairs of names that touch
    across the group's border, each pair in only one of the two groups.
    """

    objects: Statistics
    names: Names
    vertex: npt.NDArray[np.int32]
    crossing: Names


@dataclass(frozen=True)
class Group:
    """The objects of a group of blocks.

    `fate` of each component, border ones of all blocks first, then inner ones: 0 dropped, 1 to m an
    open object, from m + 1 on a closed one. Closed objects are in the order of their first voxels.
    """

    open: OpenObjects
    closed: Statistics
    fate: npt.NDArray[np.int32]
    dropped: dict[str, int]
    largest_dropped: int


@dataclass(frozen=True)
class Unions:
    """The open objects of all groups, united.

    `counts` is how many each group has, `member` the union that each of them is part of, and
    `broken` the first rule that a union breaks, counted from 1; 0 for those that are kept.
    """

    objects: Statistics
    counts: tuple[int, ...]
    member: Integers
    broken: npt.NDArray[np.intp]


def names_of(block: int, ids: npt.NDArray[Any]) -> Names:
    """Components of a block as names that are unique in the volume."""
    return (np.uint64(block) << np.uint64(32)) | ids.astype(np.uint64)


def crossing_names(touching: Touching) -> Names:
    """Pairs of names that touch, shape (n, 2)."""
    found = [
        np.stack([names_of(first, ids[:, 0]), names_of(second, ids[:, 1])], axis=1)
        for first, second, ids in touching
    ]
    return np.concatenate([np.empty((0, 2), dtype=np.uint64), *found])


def merge_group(
    tables: Mapping[int, BlockTable],
    *,
    touching: Names,
    crossing: Names,
    going_on: Names,
    criteria: Criteria,
) -> Group:
    """Objects of a group of blocks, from their tables in block order.

    `touching` are pairs of names in the group, `crossing` from it to another, `going_on` the names
    at its border. Closed objects are filtered here, as they are whole.
    """
    by_value = criteria.options.input == "labels"
    names = np.concatenate([names_of(index, one.border_ids) for index, one in tables.items()])
    nodes = joined(one.border for one in tables.values())
    # `number`: the union of each node. A union with a node at the group's border is open: it may
    # continue in the next group. Sorted as nodes | inner components, like `fate`.
    number, count = _united(nodes, np.searchsorted(names, touching), by_value=by_value)
    goes_on = np.full(len(names), True) if by_value else np.isin(names, going_on)
    is_open = np.zeros(count, dtype=bool)
    is_open[number[goes_on]] = True
    unions = nodes.merged(number, count=count)
    whole = joined([unions.take(~is_open), *(one.inner for one in tables.values())])
    broken = criteria.broken(whole)
    kept = np.flatnonzero(broken == 0)
    kept = kept[np.argsort(whole.first[kept])]
    opened = int(is_open.sum())
    fate = np.zeros(len(whole), dtype=np.int32)
    fate[kept] = np.arange(opened + 1, opened + 1 + len(kept))
    fate_of_union = np.empty(count, dtype=np.int32)
    fate_of_union[is_open] = np.arange(1, opened + 1)
    fate_of_union[~is_open] = fate[: count - opened]
    return Group(
        open=OpenObjects(
            objects=unions.take(is_open),
            names=names[goes_on],
            vertex=fate_of_union[number[goes_on]] - 1,
            crossing=crossing,
        ),
        closed=whole.take(kept),
        fate=np.concatenate([fate_of_union[number], fate[count - opened :]]),
        dropped=reasons(broken),
        largest_dropped=int(whole.voxels[broken > 0].max(initial=0)),
    )


def merge_groups(parts: Sequence[OpenObjects], *, criteria: Criteria) -> Unions:
    """The open objects of all groups, united across the groups' borders and filtered."""
    by_value = criteria.options.input == "labels"
    counts = tuple(len(part.objects) for part in parts)
    before = np.cumsum([0, *counts])
    nodes = joined(part.objects for part in parts)
    names = np.concatenate([np.empty(0, dtype=np.uint64), *(part.names for part in parts)])
    vertex = np.concatenate(
        [np.empty(0, dtype=np.int64), *(p.vertex + b for p, b in zip(parts, before, strict=False))]
    )
    order = np.argsort(names)
    crossing = np.concatenate([crossing_names([]), *(part.crossing for part in parts)])
    edges = vertex[order][np.searchsorted(names[order], crossing)]
    number, count = _united(nodes, edges, by_value=by_value)
    unions = nodes.merged(number, count=count)
    return Unions(unions, counts, number.astype(np.int64), criteria.broken(unions))


def reasons(broken: npt.NDArray[np.intp]) -> dict[str, int]:
    """How many objects broke each rule first."""
    counts = np.bincount(broken, minlength=len(RULES) + 1)[1:].tolist()
    return {rule: n for rule, n in zip(RULES, counts, strict=True) if n}


def _united(
    nodes: Statistics, edges: npt.NDArray[Any], *, by_value: bool
) -> tuple[npt.NDArray[Any], int]:
    """The union that each node is part of, and the number of unions; `edges` has shape (m, 2).

    Nodes of different values are never united; in a mask all have the same.
    """
    if not len(nodes):
        return np.empty(0, dtype=np.int32), 0
    if by_value:
        found, number = np.unique(nodes.value, return_inverse=True)
        return number, len(found)
    first, second = edges[:, 0], edges[:, 1]
    equal = nodes.value[first] == nodes.value[second]
    once = np.ones(int(equal.sum()), dtype=bool)
    graph = coo_array((once, (first[equal], second[equal])), shape=(len(nodes), len(nodes)))
    count, number = connected_components(graph, directed=False)
    return number, int(count)
