"""How a volume is cut into tiles: with the least arithmetic that blocks of some size allow.

Halos are seen twice, and the larger the tiles the less of that: of 518 x 1638 x 1638 voxels and a
halo of 80 pixels are looked at 1.53 times over in tiles of 96 Mvoxels, 1.38 times in tiles of 192.
Our own networks spend half of their arithmetic on what they answer only (`model/output_window.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import lcm, prod

from volproc.grid.box import Shape

MAX_VOXELS = 192 * 2**20
"""Voxels of a tile's cube, at the most: bounds the memory of a block, some 10 bytes each."""

SHARD_VOXELS = 96 * 2**20
"""Voxels of a shard of the answers, at the most."""

MIN_STRIDES = 4
"""No tile is shorter than this many strides, unless the network takes no longer ones."""


@dataclass(frozen=True)
class Cut:
    """One axis cut into tiles, and how often its voxels are then looked at.

    `seen` as a side of a plane, halos and border counted; `deep` along the viewing axis, where
    passes begin at multiples of the planes they answer, wherever tiles end.
    """

    tile: int
    seen: float
    deep: float


def choose_tile(
    shape: Shape, *, halo: int, border: int, stride: int, slices_out: int, most: int | None = None
) -> Shape:
    """The tile, of at most half the volume (two workers have something to do), that costs least.

    `most` is the longest side there may be. Of equal cuts the one that is longest in z, then y.
    """
    z_cuts, y_cuts, x_cuts = (
        sorted(cuts(n, halo, border, stride, slices_out, most), key=lambda cut: -cut.tile)
        for n in shape
    )
    limit = min(MAX_VOXELS, max(prod(shape) * 9 // 16, 2**20))
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


def shard_of(block: Shape) -> Shape:
    """Voxels of a shard: the block, or equal parts of it, halved along the longest even axis."""
    shard = block
    while prod(shard) > SHARD_VOXELS and any(n % 2 == 0 for n in shard):
        z, y, x = shard
        longest = max(n for n in shard if n % 2 == 0)
        if longest == z:
            shard = (z // 2, y, x)
        else:
            shard = (z, y // 2, x) if longest == y else (z, y, x // 2)
    return shard


def _work(z: Cut, y: Cut, x: Cut) -> float:
    """Arithmetic of three axes over that of the voxels alone."""
    along = (z.deep * y.seen * x.seen, y.deep * z.seen * x.seen, x.deep * z.seen * y.seen)
    return sum(along) / 3


def cuts(
    n: int, halo: int, border: int, stride: int, slices_out: int, most: int | None
) -> Iterator[Cut]:
    """Ways to cut an axis of `n` voxels into equal tiles, the last one perhaps shorter."""
    steps = {stride, lcm(stride, slices_out)}
    parts = range(1, max(1, n // (MIN_STRIDES * stride)) + 1)
    tiles = {min(up(-(-n // p), step), up(n, stride)) for p in parts for step in steps}
    first, last = -border, up(n + border, stride)
    for tile in {min(t, most or t) for t in tiles}:
        starts = range(0, n, tile)
        seen = sum(min(last, a + tile + halo) - max(first, a - halo) for a in starts)
        passes = sum(-(-min(a + tile, n) // slices_out) - a // slices_out for a in starts)
        yield Cut(tile, seen / n, passes * slices_out / n)


def up(number: int, step: int) -> int:
    """The next multiple of `step`.

    >>> up(300, 16)
    304
    """
    return -(-number // step) * step
