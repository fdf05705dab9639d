"""Boxes of a coarser grid from finer volumes, of which only so much is in memory at once.

Volumes without a pyramid are read at their finest level: of voxels of 10 nm, a box at 100 nm takes
a thousand times its own size.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.blocks import Tiling
from volproc.grid.box import Box, Shape, each

READ_BYTES = 2**27
"""Of a volume, read together."""


def read_in_parts(
    box: Box,
    read: Callable[[Box], npt.NDArray[Any]],
    *,
    source: Callable[[Box], Box],
    itemsize: int,
) -> npt.NDArray[Any]:
    """What `read` gives for `box`, of which it is asked for parts: each needs `READ_BYTES` at most.

    `source` are the voxels of `itemsize` bytes that a part needs.
    """
    core = _part(box, source, READ_BYTES // itemsize)
    if core == box.shape:
        return read(box)
    parts = (block.core.shift(box.start) for block in Tiling(box.shape, core))
    first = next(parts)
    values = read(first)
    whole = np.empty(box.shape, values.dtype)
    whole[first.within(box.start).slices] = values
    for part in parts:
        whole[part.within(box.start).slices] = read(part)
    return whole


def _part(box: Box, source: Callable[[Box], Box], most: int) -> Shape:
    """The shape of the parts: halved where their source is longest, until that is small enough."""
    core = box.shape
    while prod(needed := _needed(box, core, source)) > most and max(core) > 1:
        lengths = [n if c > 1 else 0 for n, c in zip(needed, core, strict=True)]
        halved = [*core]
        longest = lengths.index(max(lengths))
        halved[longest] = -(-core[longest] // 2)
        core = halved[0], halved[1], halved[2]
    return core


def _needed(box: Box, core: Shape, source: Callable[[Box], Box]) -> Shape:
    """The most voxels along each axis that parts of `core` need: at ends they need fewer."""
    if core == box.shape:
        return source(box).shape
    start = each(lambda a, n, c: a + (n - c) // 2, box.start, box.shape, core)
    middle = source(Box(start, each(lambda a, c: a + c, start, core)))
    # where steps are no whole numbers, one more elsewhere
    return each(lambda n: n + 1, middle.shape)
