"""What names an array in memory, or a lazy dask array: another name when its values change.

Dask names an array after its graph. A graph that reads files says where they are, not what is in
them: their sizes and dates are added here. Whatever else a graph may read is not known, and such an
array is never taken for one that was seen before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import zarr

from volproc.volume.fingerprint import listing


def token_of(array: Any) -> str:
    """A name for the values, type and shape of `array`; a new one where they cannot be known."""
    from dask.base import tokenize

    described = (str(array.dtype), tuple(array.shape))
    if isinstance(array, np.ndarray):
        return str(tokenize(array, *described))
    files = [_stamp(leaf) for leaf in _leaves(dict(array.dask))] if hasattr(array, "dask") else [""]
    return str(tokenize(array.name, *described, files)) if all(files) else uuid4().hex


PREDICTION = "predict-"
"""How the names of arrays begin that `volproc.array.predict` made: probabilities, however low."""


def is_prediction(array: Any) -> bool:
    """Whether a dask array holds a network's probabilities, times 255."""
    return str(array.name).startswith(PREDICTION)


def places_of(array: Any) -> tuple[str, ...]:
    """Where files lie that a dask array reads, as far as its graph tells: Zarr arrays and paths."""
    leaves = list(_leaves(dict(array.dask))) if hasattr(array, "dask") else []
    return tuple(sorted({place for place in map(_place, leaves) if place}))


def _place(leaf: Any) -> str:
    if isinstance(leaf, str | Path):
        return str(leaf)
    store = getattr(leaf, "store", None) if isinstance(leaf, zarr.Array) else None
    store = getattr(store, "_store", store)  # within one that looks for lost files
    root = getattr(store, "root", None) or getattr(store, "path", None)
    protocol = getattr(getattr(store, "fs", None), "protocol", "file")
    if root is None:
        return str(getattr(getattr(leaf, "info", None), "url", ""))  # of a Volume
    first = protocol if isinstance(protocol, str) else protocol[0]
    there = f"{root}/{leaf.path}".rstrip("/")
    return there if first in ("file", "local") else f"{first}://{there}"


def _leaves(node: Any) -> Iterator[Any]:
    """Whatever a graph holds that tasks may read from: arrays of files, paths."""
    if isinstance(node, Mapping):
        yield from (leaf for value in node.values() for leaf in _leaves(value))
    elif isinstance(node, list | tuple | set):
        yield from (leaf for value in node for leaf in _leaves(value))
    elif hasattr(node, "args") and hasattr(node, "kwargs"):  # a task
        yield from _leaves((node.args, node.kwargs))
    elif type(node).__module__.startswith("dask."):  # data, aliases and references between tasks
        yield from _leaves(getattr(node, "value", ()))
    elif _is_read(node):
        yield node


def _is_read(node: Any) -> bool:
    if isinstance(node, str | Path):
        return os.path.exists(node)
    return hasattr(node, "__getitem__") and not isinstance(node, np.ndarray | np.generic | bytes)


def _stamp(leaf: Any) -> str:
    """Size and date of the files behind a path or a Zarr array; "" for anything else."""
    if isinstance(leaf, str | Path):
        told = os.stat(leaf)
        return f"{told.st_size} {told.st_mtime_ns}" if os.path.isfile(leaf) else listing(str(leaf))
    place = _place(leaf)
    return listing(place) if place and "://" not in place else ""
