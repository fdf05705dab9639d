"""Where a prediction is predicted again for its seam certificate, and by which tiles.

With a halo as large as the network's reach tiles cannot show: a prediction is the same wherever its
tile begins. So half of the places are chosen across a border of the run's tiles or blocks and lie
within one tile the second time; the other half, anywhere, get a border through their middle.

         run    ----tile----|----tile----        |--------tile--------|
         again         |--tile--|                   |--tile-|-tile--|
                        a border                       elsewhere
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from volproc.grid.blocks import Tiling
from volproc.grid.box import Box, Shape, each
from volproc.stages.inference.tiling import Layout

SIDE = 64
"""Voxels of a side of a place, rounded up to twice the network's stride."""


@dataclass(frozen=True)
class Place:
    """Voxels that are predicted again with tiles of their own (`layout`)."""

    core: Box
    layout: Layout
    kind: str
    """border, elsewhere, or skipped: in a block that was taken to be empty."""


def places_in(
    layout: Layout,
    blocks: Tiling,
    *,
    count: int,
    seed: int,
    skipped: Sequence[int] = (),
    origin: Shape = (0, 0, 0),
) -> tuple[Place, ...]:
    """Where to predict again: the same for the same `seed`, every other one across a border.

    The first block is at `origin` of the layout's grid; places are counted from there.
    """
    box = Box(origin, each(lambda a, n: a + n, origin, blocks.shape))
    rng = np.random.default_rng(seed)
    side = -(-SIDE // (2 * layout.stride)) * 2 * layout.stride
    borders = [
        (n, at)
        for n in range(3)
        for at in sorted(
            {*_borders(layout.offset, layout.tile, box, n), *_borders(origin, blocks.core, box, n)}
        )
    ]
    found = []
    for number in range(count):
        middle = [a + int(rng.integers(size)) for a, size in zip(origin, box.shape, strict=True)]
        across = bool(borders) and number % 2 == 0
        if across:
            axis, at = borders[int(rng.integers(len(borders)))]
            middle[axis] = at
        around = _around(middle, side, box, layout.stride)
        first = around.start if across else around.grow((side // 2,) * 3).start
        again = replace(layout, tile=(side,) * 3, offset=each(lambda a: a % side, first))
        core = around.clip(box).within(origin)
        none = any(block.index in skipped for block in blocks.over(core))
        found.append(Place(core, again, _kind(across, none)))
    return tuple(found)


def _borders(first: Shape, step: Shape, box: Box, n: int) -> range:
    """Where, inside of a box, parts end that begin at `first`."""
    begin = (box.start[n] - first[n]) // step[n] * step[n] + first[n] + step[n]
    return range(begin, box.stop[n], step[n])


def _around(middle: Sequence[int], side: int, box: Box, stride: int) -> Box:
    """A cube around `middle` that begins on a multiple of the stride and meets the box."""

    def first(at: int, begin: int, end: int) -> int:
        begin = begin // stride * stride
        last = begin - (begin - max(begin, end - side)) // stride * stride
        return min(max(begin, at - side // 2) // stride * stride, last)

    start = each(first, middle, box.start, box.stop)
    return Box(start, each(lambda a: a + side, start))


def _kind(across: bool, skipped: bool) -> str:
    return "skipped" if skipped else "border" if across else "elsewhere"
