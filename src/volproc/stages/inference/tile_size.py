"""The size of tiles: that with the least arithmetic among those whose blocks fit into memory.

Halos are read twice, and the larger the tiles the less of that: 518 x 1638 x 1638 voxels with a
halo of 80 pixels are read 1.53 times over in tiles of 96 Mvoxels, 1.38 times in tiles of 192.
(Our own networks spend half of their arithmetic on the output alone, `model/output_window.py`.)

A tile is a box of voxels, viewed along each axis in turn. Along an axis of n voxels:

    in plane         |halo--tile--halo|halo--tile--halo|          `read` pixels over n
    viewing axis     |slices_out|slices_out|slices_out|           `deep` planes over n: a set of
                     ^ tile begins      ^ next tile               planes is predicted for both tiles
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import lcm, prod

from volproc.grid.box import Shape

MAX_VOXELS = 192 * 2**20
"""Voxels of a tile's cube, at the most: bounds the memory of a block, some 10 bytes each."""

SHARD_VOXELS = 96 * 2**20
"""Voxels of a shard of the output, at the most."""

MIN_STRIDES = 4
"""No tile is shorter than this many strides, unless the network takes no longer ones."""


@dataclass(frozen=True)
class Cut:
    """One axis cut into tiles, and how often its voxels are then read.

    `read` as a side of a plane, halos and border included; `deep` as the viewing axis, where sets
    of planes begin at multiples of `slices_out`, wherever tiles end.
    """

    tile: int
    read: float
    deep: float


def choose_tile(
    shape: Shape,
    *,
    halo: int,
    border: int,
    stride: int,
    slices_out: int,
    most: int | None = None,
    classes: int = 1,
) -> Shape:
    """The cheapest tile of at most about half the volume, so that two workers have something to do.

    `most` is the longest side there may be. Of equally cheap ones that longest in z, then in y.
    The votes of each class take memory, so several make tiles smaller.
    """
    z_cuts, y_cuts, x_cuts = (
        sorted(cuts(n, halo, border, stride, slices_out, most), key=lambda cut: -cut.tile)
        for n in shape
    )
    limit = min(2 * MAX_VOXELS // (1 + classes), max(prod(shape) * 9 // 16, 2**20))
    found = [
        (_work(z, y, x), -z.tile, -y.tile, x.tile)
        for z in z_cuts
        for y in y_cuts
        for x in [c for c in x_cuts if z.tile * y.tile * c.tile <= limit][:1]
    ]
    if not found:
        return z_cuts[-1].tile, y_cuts[-1].tile, x_cuts[-1].tile
    _, z, y, x = min(found)
    return -z, -y, x


def shard_of(block: Shape, channels: int = 1) -> Shape:
    """Voxels of a shard: the block, or equal parts of it, halved along the longest even axis.

    All channels are in one shard: more than three make it smaller.
    """
    sides, most = list(block), 3 * SHARD_VOXELS // max(3, channels)
    while prod(sides) > most and any(n % 2 == 0 for n in sides):
        longest = max(n for n in sides if n % 2 == 0)
        sides[sides.index(longest)] //= 2
    return sides[0], sides[1], sides[2]


def _work(z: Cut, y: Cut, x: Cut) -> float:
    """Arithmetic of the three views over that of the voxels alone."""
    views = (z.deep * y.read * x.read, y.deep * z.read * x.read, x.deep * z.read * y.read)
    return sum(views) / 3


def cuts(
    n: int, halo: int, border: int, stride: int, slices_out: int, most: int | None
) -> Iterator[Cut]:
    """Ways to cut an axis of `n` voxels into equal tiles, the last one perhaps shorter."""
    # multiples of the planes as well: then no set of planes is predicted for two tiles
    steps = {stride, lcm(stride, slices_out)}
    parts = range(1, max(1, n // (MIN_STRIDES * stride)) + 1)
    tiles = {min(up(-(-n // p), step), up(n, stride)) for p in parts for step in steps}
    first, last = -border, up(n + border, stride)
    for tile in {min(t, most or t) for t in tiles}:
        starts = range(0, n, tile)
        read = sum(min(last, a + tile + halo) - max(first, a - halo) for a in starts)
        sets = sum(-(-min(a + tile, n) // slices_out) - a // slices_out for a in starts)
        yield Cut(tile, read / n, sets * slices_out / n)


def up(number: int, step: int) -> int:
    """The next multiple of `step`.

    >>> up(300, 16)
    304
    """
    return -(-number // step) * step
