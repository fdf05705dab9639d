"""Voxels of each kind in every region of an image: labels are read once, many regions at a time.

cores          | 0 | 1 | 2 | 3 |     read together: cores of a square of `SIDE` voxels, a slab
read together  |  0 and 1  | ...     at a time, whose sums by core are added up
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Box, Shape, each
from volproc.stages.train.pairs import LabelledImage, slab_depth

THREADS = 2
SIDE = 512
Counts = npt.NDArray[np.int64]
Edges = npt.NDArray[np.int64]
"""Where cores begin along an axis."""
Part = tuple[Edges, int | None]
"""Some of them, and where the next one begins, if there is one."""


def voxels_per_core(image: LabelledImage, core: Shape, factor: int = 1) -> Counts:
    """Of each core of `core` voxels those that count, on surfaces and inside: (cores, kinds).

    Kinds are as in `CentreIndex`, by class. With a factor, voxels of a grid that is so many times
    coarser are counted; of every core at least one, or a thin one would never be drawn.
    """
    coarse = image.coarser(factor)

    def begin(length: int, step: int, coarse_length: int) -> Edges:
        return np.minimum(np.arange(0, length, step) // factor, coarse_length - 1)

    z, y, x = each(begin, image.box.shape, core, coarse.box.shape)
    table = np.empty((1 + 2 * len(image.targets), len(z), len(y), len(x)), np.int64)

    def fill(rows: slice, columns: slice) -> None:
        table[:, :, rows, columns] = _column(coarse, z, _part(y, rows), _part(x, columns))

    parts = [(rows, columns) for rows in _together(y) for columns in _together(x)]
    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(fill, *part) for part in parts]:
            done.result()
    return table.reshape(len(table), -1).T


def _together(edges: Edges) -> Iterator[slice]:
    """Cores that are read together."""
    many = max(1, SIDE // int(np.diff(edges).max(initial=1)))
    return (slice(n, n + many) for n in range(0, len(edges), many))


def _part(edges: Edges, part: slice) -> Part:
    return edges[part], int(edges[part.stop]) if part.stop < len(edges) else None


def _column(image: LabelledImage, z: Edges, rows: Part, columns: Part) -> Counts:
    """Counts of all cores in these rows and columns: (kinds, z, y, x)."""
    (y, y_end), (x, x_end) = rows, columns
    depth, height, width = image.box.shape
    stop = depth, max(y_end or height, int(y[-1]) + 1), max(x_end or width, int(x[-1]) + 1)
    box = Box((0, int(y[0]), int(x[0])), stop).shift(image.box.start)
    planes = [
        [_summed(_summed(kind, y - y[0], axis=1), x - x[0], axis=2) for kind in _kinds(image, slab)]
        for slab in box.slabs(slab_depth(box))
    ]
    return _summed(np.concatenate(planes, axis=1), z, axis=1)


def _summed(values: npt.NDArray[Any], edges: Edges, *, axis: int) -> Counts:
    """Sums from each edge to the next; of two edges at one place each has the value there."""
    return np.add.reduceat(values, edges, axis=axis, dtype=np.int64)


def _kinds(image: LabelledImage, box: Box) -> Iterator[Any]:
    """Masks of what counts, then of surfaces, and of insides by class.

    Grey values of images that are not of whole numbers are looked at, too: NaN is refused now
    rather than in the middle of a training.
    """
    if np.dtype(image.source.image.dtype).kind == "f":
        image.image(box)
    truths = image.truths(box)
    yield np.logical_or.reduce([truth.weight > 0 for truth in truths])
    yield from (truth.edges for truth in truths)
    yield from ((truth.target > 0) & (truth.weight > 0) for truth in truths)
