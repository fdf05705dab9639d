"""Blocks and shards of a volume that fit the chunks of the array it is stored from.

A chunk that two blocks meet is computed twice, with all that it is computed from:

    chunks of the array   |------0------|------1------|------2------|
    blocks                |----0----|----1----|----2----|----3----|     chunks 0, 1, 2 twice
    aligned               |-------------0-------------|------1------|   each once

So of all blocks of whole Zarr chunks those are taken that compute least, of about 64 MB.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Shape, each
from volproc.volume.metadata import SHARD_BYTES

SMALL_BYTES, LARGE_BYTES = 2**22, 2**29
"""Blocks of which a hundredth is lost on each file, and which take a worker's memory: in between
they are about as good as the chunks they compute are few."""
MAX_PARTS = 64
"""Equal parts of an axis that are looked at."""

Chunks = tuple[tuple[int, ...], ...]
"""Lengths of an array's chunks along each axis, as dask has them."""


def block_and_shard(
    shape: Shape, chunks: Chunks, *, stored: Shape, itemsize: int
) -> tuple[Shape, Shape]:
    """Voxels of a block, and of the shards that it is written in; both whole `stored` chunks.

    >>> same = ((64, 64), (512,), (512,))
    >>> block_and_shard((128, 512, 512), same, stored=(64, 64, 64), itemsize=1)
    ((128, 512, 512), (128, 512, 512))
    """
    lengths = each(_candidates, shape, chunks, stored)
    z, y, x = (
        np.array([computed(of, length) / n for length in some])
        for n, of, some in zip(shape, chunks, lengths, strict=True)
    )
    size = _outer(*(np.array(some, dtype=np.float64) for some in lengths)) * itemsize
    cost = _outer(z, y, x) * (1 + SMALL_BYTES / size + size / LARGE_BYTES)
    best = np.unravel_index(int(cost.argmin()), cost.shape)
    block = each(lambda some, n: some[int(n)], lengths, best)
    return block, _shard(block, stored, itemsize)


def computed(chunks: Sequence[int], length: int) -> int:
    """Voxels of an axis that are computed for blocks of `length`, those done twice counted twice.

    >>> computed((4, 4, 4), 4), computed((4, 4, 4), 6)
    (12, 16)
    """
    ends = np.array([0, *accumulate(chunks)])
    first = np.arange(0, ends[-1], length)
    last = np.minimum(first + length, ends[-1])
    begin = ends[np.searchsorted(ends, first, "right") - 1]
    return int((ends[np.searchsorted(ends, last, "left")] - begin).sum())


def _candidates(n: int, chunks: Sequence[int], stored: int) -> list[int]:
    """Lengths to choose from: equal parts of the axis, and whole chunks of the array."""
    across = -(-n // stored)
    parts = {-(-across // p) for p in range(1, min(across, MAX_PARTS) + 1)}
    whole = {-(-m * chunks[0] // stored) for m in range(1, min(len(chunks), MAX_PARTS) + 1)}
    return [stored * count for count in sorted(parts | {min(one, across) for one in whole})]


def _outer(
    z: npt.NDArray[np.float64], y: npt.NDArray[np.float64], x: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    return z[:, None, None] * y[:, None] * x


def _shard(block: Shape, stored: Shape, itemsize: int) -> Shape:
    """The block, or equal parts of it of at most 64 MB, cut along the axis of most chunks."""
    counts = list(each(lambda n, c: n // c, block, stored))
    while prod(counts) * prod(stored) * itemsize > SHARD_BYTES and max(counts) > 1:
        longest = counts.index(max(counts))
        parts = next(p for p in range(2, counts[longest] + 1) if counts[longest] % p == 0)
        counts[longest] //= parts
    return each(lambda n, c: n * c, counts, stored)
