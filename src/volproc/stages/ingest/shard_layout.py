"""Chunks, shards and blocks of the finest level, so that files are read once and in order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from volproc.grid.box import Shape, each
from volproc.volume.metadata import SHARD_BYTES, VolumeInfo, itemsize
from volproc.volume.pyramid import step_between

SLAB_BYTES = 512 * 2**20
"""Bytes of whole planes in a task, where planes cannot be read by rows."""
MIN_DEPTH = 8
"""Planes of the flattest chunk."""


@dataclass(frozen=True)
class Layout:
    """`block` is what one task reads and writes: whole shards over the volume's full width.

    Rows are one after the other in a file, so a block as wide as the volume reads them in one go.
    """

    chunks: Shape
    shards: Shape
    block: Shape


def layout_of(info: VolumeInfo, *, by_rows: bool) -> Layout:
    """The layout for files that are read by rows, or only by whole planes (compressed ones).

    A shard is as wide as the volume and has as many rows of chunks as make 64 MB; small planes
    are stacked. Where planes are decoded whole, a block takes whole planes, and chunks get flatter
    until those are below 512 MB.
    """
    plane = info.shape[1] * info.shape[2] * itemsize(info.dtype)
    depth, height, width = each(min, info.levels[0].chunks, info.shape)
    while not by_rows and depth * plane > SLAB_BYTES and depth > MIN_DEPTH:
        depth = max(MIN_DEPTH, depth // 2)
    chunks = (depth, height, width)
    shards = shards_along_rows(info.shape, chunks=chunks, bytes_per_voxel=itemsize(info.dtype))
    rows = shards[1] if by_rows else info.shape[1]
    return Layout(chunks, shards, (shards[0], rows, info.shape[2]))


def shards_along_rows(shape: Shape, *, chunks: Shape, bytes_per_voxel: int) -> Shape:
    """Whole chunks that make up to 64 MB: first along x, then y, then z, in nearly equal parts.

    >>> shards_along_rows((518, 8192, 8192), chunks=(32, 128, 128), bytes_per_voxel=1)
    (32, 256, 8192)
    >>> shards_along_rows((300, 500, 500), chunks=(32, 128, 128), bytes_per_voxel=1)
    (160, 512, 512)
    """
    unit = list(chunks)
    for axis in (2, 1, 0):
        across = -(-shape[axis] // chunks[axis])
        fitting = max(1, SHARD_BYTES // (prod(unit) * bytes_per_voxel))
        parts = -(-across // fitting)
        unit[axis] = -(-across // parts) * chunks[axis]
    z, y, x = unit
    return z, y, x


def laid_out(info: VolumeInfo, layout: Layout) -> VolumeInfo:
    """The volume with this layout of its finest level, and level 1 cut in step with it.

    A shard of level 1 is what one of the finest level becomes, so that one task writes both.
    """
    finest = replace(info.levels[0], chunks=layout.chunks, shards=layout.shards)
    if len(info.levels) == 1:
        return replace(info, levels=(finest,))
    step = step_between(finest, info.levels[1])
    shards = each(lambda n, s: -(-n // s), layout.shards, step)
    chunks = each(_chunk_within, shards, layout.chunks)
    coarser = replace(info.levels[1], chunks=chunks, shards=shards)
    return replace(info, levels=(finest, coarser, *info.levels[2:]))


def _chunk_within(shard: int, chunk: int) -> int:
    """The chunk of the finest level, half of it, or all of a shard that is shorter than both.

    >>> _chunk_within(256, 128), _chunk_within(64, 128), _chunk_within(3, 5)
    (128, 64, 3)
    """
    return next((n for n in (chunk, chunk // 2) if n and shard % n == 0), shard)
