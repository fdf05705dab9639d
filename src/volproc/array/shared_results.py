"""What all blocks of an array depend on, computed once before they are stored one by one.

    x - x.mean()        every block needs the mean, and the mean every chunk
    predict, label      every block needs the constants of the volume, or the merge

Block by block each of them would be computed again for every block, with all that it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import dask.array
from dask._task_spec import DataNode
from dask.base import compute_as_if_collection
from dask.optimization import cull
from dask.sizeof import sizeof

from volproc.errors import VolumeError

MAX_BYTES = 2**28
"""Of a result that every worker gets; a larger one is computed where it is needed."""
FEW_CHUNKS = 4
"""An array of fewer chunks has little to compute twice."""


def settled(array: dask.array.Array) -> dask.array.Array:
    """The same array, with the results that its first and its last chunk share in place.

    They are computed by the caller's scheduler or client. VolumeError for what is on a cluster.
    """
    graph = dict(array.dask)
    _refuse_futures(graph)
    keys = set(_shared(array, graph)) if prod(array.numblocks) >= FEW_CHUNKS else set()
    if not keys:
        return array
    chosen = sorted(keys, key=str)
    values = compute_as_if_collection(dask.array.Array, array.dask, chosen)
    known = {
        key: DataNode(key, value)
        for key, value in zip(chosen, values, strict=True)
        if sizeof(value) <= MAX_BYTES
    }
    wanted, _ = cull({**graph, **known}, list(_flat(array.__dask_keys__())))
    return dask.array.Array(wanted, array.name, array.chunks, meta=array._meta)


def _shared(array: dask.array.Array, graph: dict[Any, Any]) -> Iterator[Any]:
    """Keys that the first and the last chunk both use by tasks of their own."""
    ends = [
        (array.name, *(0 for _ in array.chunks)),
        (array.name, *(n - 1 for n in array.numblocks)),
    ]
    first, last = (cull(graph, [key])[1] for key in ends)
    common = first.keys() & last.keys()
    used = [
        {key for own in of.keys() - common for key in of[own] if key in common}
        for of in (first, last)
    ]
    for key in used[0] & used[1]:
        if not isinstance(graph[key], DataNode):
            yield key


def _refuse_futures(graph: dict[Any, Any]) -> None:
    values = (getattr(node, "value", node) for node in graph.values())
    if any(type(one).__module__.startswith("distributed") for one in values):
        raise VolumeError(
            "the array holds results on a cluster (persist), which volproc's workers cannot reach: "
            "give the array before persist, or save it there with dask.array.to_zarr"
        )


def _flat(keys: Any) -> Iterator[Any]:
    for one in keys:
        if isinstance(one, list):
            yield from _flat(one)
        else:
            yield one
