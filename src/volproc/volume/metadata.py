"""A volume without its voxels: levels, voxel sizes, chunks and shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Literal, NamedTuple

from volproc.grid.box import Box, Shape, each, whole_box
from volproc.grid.scale import VoxelNm, parse_voxel_nm

Kind = Literal["image", "labels"]
Version = Literal["0.4", "0.5"]
"""Of OME-Zarr: 0.5 is Zarr 3 with shards, 0.4 is Zarr 2 and has a file per chunk."""

PositionNm = tuple[float, float, float]
"""(z, y, x) in nm, in the space of the volume's metadata."""

CHUNK = (64, 64, 64)
FLAT_CHUNK = (32, 128, 128)
SHARD_BYTES = 64 * 2**20
MIN_LEVEL = 256
"""A pyramid stops when no axis is longer than this many voxels."""


class Window(NamedTuple):
    """How viewers show an image: values from `min` to `max`, `start` as black, `end` as white."""

    min: float
    max: float
    start: float
    end: float


@dataclass(frozen=True)
class Level:
    """One array of a pyramid. `shards` is the write unit: no two tasks may share one."""

    path: str
    shape: Shape
    chunks: Shape
    shards: Shape
    voxel_nm: VoxelNm
    translation_nm: PositionNm = (0.0, 0.0, 0.0)

    @property
    def box(self) -> Box:
        """All voxels of the level."""
        return whole_box(self.shape)


@dataclass(frozen=True)
class VolumeInfo:
    """A volume as its metadata tells it. `levels` start with the finest.

    `channels` is empty where there is no channel axis; `provenance` is volproc's own record
    (version, step, digest, finished) and empty for volumes that others wrote. An image without
    `window` gets one from its voxels when it is finished.
    """

    url: str
    kind: Kind
    dtype: str
    levels: tuple[Level, ...]
    channels: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict, hash=False)
    version: Version = "0.5"
    window: Window | None = None
    picked: tuple[int, int] | None = None
    """Of the channels that are stored the only ones that it is made of: the first, and one past the
    last (`volume/channels.py`); None for all. A single one has no axis."""

    @property
    def shape(self) -> Shape:
        """Voxels of the finest level, (z, y, x)."""
        return self.levels[0].shape

    @property
    def voxel_nm(self) -> VoxelNm:
        """Voxel size of the finest level in nm."""
        return self.levels[0].voxel_nm

    @property
    def corner_nm(self) -> PositionNm:
        """Outer corner of the first voxel, (z, y, x), where viewers put the volume."""
        return each(lambda t, v: t - v / 2, self.levels[0].translation_nm, self.voxel_nm)

    def corner_of(self, box: Box) -> PositionNm:
        """Outer corner of the first voxel of `box`, where viewers put it."""
        return each(lambda c, n, v: c + n * v, self.corner_nm, box.start, self.voxel_nm)

    @property
    def is_part(self) -> bool:
        """Whether volproc cut it out of a volume: then its position is known, also at 0."""
        return bool(self.provenance.get("part"))

    @property
    def write_unit(self) -> Shape:
        """Voxels of one shard of the finest level."""
        return self.levels[0].shards

    @property
    def box(self) -> Box:
        """All voxels of the finest level."""
        return whole_box(self.shape)

    @property
    def nbytes(self) -> int:
        """Raw bytes of all levels."""
        per_voxel = itemsize(self.dtype) * max(1, len(self.channels))
        return per_voxel * sum(prod(level.shape) for level in self.levels)

    def with_provenance(self, **record: Any) -> VolumeInfo:
        """The same volume with `record` added to its provenance."""
        return replace(self, provenance={**self.provenance, **record})


def itemsize(dtype: str) -> int:
    """Bytes of one voxel of `dtype`.

    >>> itemsize("uint16")
    2
    """
    import numpy as np

    return np.dtype(dtype).itemsize


def new_volume(
    url: str,
    *,
    shape: Shape,
    voxel_nm: Sequence[float],
    dtype: str,
    kind: Kind = "image",
    channels: tuple[str, ...] = (),
    chunks: Shape | None = None,
    shards: Shape | None = None,
    max_levels: int = 12,
    version: Version = "0.5",
    window: Window | None = None,
    corner_nm: PositionNm | None = None,
    part: bool = False,
) -> VolumeInfo:
    """A volume to be written: its pyramid, chunks, and shards of about 64 MB of raw voxels.

    Levels halve the axes with the finest voxels until voxels are near isotropic, then all three,
    until every axis is at most 256 long. An odd axis is rounded up; scale and translation stay
    exact. `shards` that are asked for are kept; their chunks are the divisors nearest to the usual.
    `corner_nm` is another volume's whose corner this one shares (`VolumeInfo.corner_nm`): viewers
    then lay one over the other. By default the first voxel's centre is at 0. `part`: it is cut out
    of a larger volume, or made of such a part.
    """
    voxel_nm = parse_voxel_nm(voxel_nm)
    centre = each(lambda c, v: c + v / 2, corner_nm, voxel_nm) if corner_nm else (0.0, 0.0, 0.0)
    if shards and not chunks:
        chunks = each(_chunk, shards, chunk_shape(voxel_nm))
    bytes_per_voxel = itemsize(dtype) * max(1, len(channels))
    levels: list[Level] = []
    factor = (1, 1, 1)
    size, voxel = shape, voxel_nm
    while True:
        offset = each(lambda t, v, f: t + v * (f - 1) / (2 * f), centre, voxel, factor)
        cut = chunks or chunk_shape(voxel)
        units = shards or shard_shape(size, chunks=cut, bytes_per_voxel=bytes_per_voxel)
        levels.append(Level(str(len(levels)), size, cut, units, voxel, offset))
        if max(size) <= MIN_LEVEL or len(levels) == max_levels:
            record = {"part": True} if part else {}
            return VolumeInfo(
                url, kind, dtype, tuple(levels), channels, record, version=version, window=window
            )
        step = next_factor(size, voxel)
        factor = each(lambda a, b: a * b, factor, step)
        size = each(lambda n, s: -(-n // s), size, step)
        voxel = VoxelNm(each(lambda v, f: v * f, voxel_nm, factor))


def volume_like(info: VolumeInfo, url: str, **options: Any) -> VolumeInfo:
    """A volume to be written on the grid of `info`; `options` are those of `new_volume`."""
    grid: Any = {"shape": info.shape, "voxel_nm": info.voxel_nm, "corner_nm": info.corner_nm}
    return new_volume(url, **grid, part=info.is_part, **options)


def chunk_shape(voxel_nm: VoxelNm) -> Shape:
    """A quarter or half a million voxels, in nm nearly a cube: of those tried, these served halo
    reads best (benchmarks/LOG.md).

    >>> chunk_shape(VoxelNm((50, 10, 10))), chunk_shape(VoxelNm((8, 8, 8)))
    ((32, 128, 128), (64, 64, 64))
    """
    z, y, x = voxel_nm
    return FLAT_CHUNK if z >= 3 * max(y, x) else CHUNK


def _chunk(shard: int, usual: int) -> int:
    """The divisor of a shard's length that is nearest, as a ratio, to the usual chunk's length.

    >>> _chunk(192, 64), _chunk(2048, 128), _chunk(304, 64), _chunk(1999, 64)
    (64, 128, 76, 1999)
    """
    divisors = (n for n in range(1, shard + 1) if shard % n == 0)
    return min(divisors, key=lambda n: max(n / usual, usual / n))


def next_factor(shape: Shape, voxel_nm: VoxelNm) -> Shape:
    """By how much each axis shrinks to the next level: 2 where voxels are finest, else 1.

    >>> next_factor((518, 8192, 8192), VoxelNm((50, 10, 10)))
    (1, 2, 2)
    >>> next_factor((518, 2048, 2048), VoxelNm((50, 40, 40)))
    (2, 2, 2)
    """
    finest = min(voxel_nm)
    step = each(lambda n, v: 2 if n > 1 and v < 1.5 * finest else 1, shape, voxel_nm)
    return step if max(step) > 1 else each(lambda n: 2 if n > 1 else 1, shape)


def shard_shape(shape: Shape, *, chunks: Shape, bytes_per_voxel: int) -> Shape:
    """Whole chunks that make up to 64 MB, in nearly equal parts along each axis.

    >>> shard_shape((518, 8192, 8192), chunks=(64, 64, 64), bytes_per_voxel=1)
    (320, 448, 448)
    """
    across = each(lambda n, c: -(-n // c), shape, chunks)
    parts = [1, 1, 1]
    while True:
        unit = each(lambda n, p, c: -(-n // p) * c, across, parts, chunks)
        if prod(unit) * bytes_per_voxel <= SHARD_BYTES or unit == chunks:
            return unit
        longest = max(range(3), key=lambda axis: (unit[axis] / chunks[axis], axis))
        parts[longest] += 1
