"""Where patches come from: images cut into regions, of which a few are in memory at a time.

    a source on the model's grid                 what is read for one region

    +--------+--------+--------+                    +. . . . . . .+
    |        |        |        |                    .  +--------+ .   centres lie in the core,
    +--------+--------+--------+                    .  |  core  | .   a patch around any of them
    |        |        |        |                    .  +--------+ .   lies in what was read
    +--------+--------+--------+                    +. . . . . . .+

If all sources fit the memory that is allowed, each is one region, and every patch draws its own.
Otherwise patches draw from `SLOTS` regions, which are exchanged one by one: each serves about
`VISITS` patches, so what is read is read for many. Everything follows from (seed, step, number of
the patch), whatever is in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from volproc.errors import ConfigError
from volproc.grid.blocks import Tiling
from volproc.grid.box import Box, Shape, each, whole_box
from volproc.stages.train.pairs import LabelledImage

SLOTS = 16
"""Regions that patches are drawn from at any step."""
AHEAD = 2
"""More of them that are read meanwhile."""
VISITS = 64
"""Patches from a region before it is exchanged for another."""
OUTSIDE = 8
"""One part in so many of a patch may lie outside of the image on either side, mirrored."""
FINEST = 8
"""Regions are cut so that a core is at least one part in so many of a patch."""


@dataclass(frozen=True)
class Region:
    """A part of one source."""

    source: int
    core: Box
    """Centres of patches lie here."""
    read: Box
    """A patch around any centre lies here, what is mirrored aside."""


@dataclass(frozen=True)
class Regions:
    """All regions of all sources."""

    images: tuple[LabelledImage, ...]
    all: tuple[Region, ...]
    core: Shape | None = None
    """How large cores are; None where every source is one, and all are in memory at once."""

    @property
    def is_whole(self) -> bool:
        """Whether everything is in memory at once."""
        return self.core is None

    def bytes_of(self, region: Region) -> int:
        """Memory of a region, an upper estimate."""
        return region.read.size * voxel_bytes(self.images[region.source])

    @property
    def most_bytes(self) -> int:
        """Memory of the regions that are held at once."""
        sizes = sorted(map(self.bytes_of, self.all), reverse=True)
        return sum(sizes if self.is_whole else sizes[: SLOTS + AHEAD])

    def bytes_read(self, patches: int) -> int:
        """Bytes of voxels that so many patches have read, about."""
        if self.is_whole:
            return 0
        largest = max(map(self.bytes_of, self.all))
        return largest * max(SLOTS, -(-patches // VISITS))


def voxel_bytes(image: LabelledImage) -> int:
    """Memory of a voxel: its grey value, and target and weight of each class."""
    stored = 1 if image.source.image.dtype == "uint8" else 4
    return stored + 2 * sum(one is not None for one in image.source.classes)


def regions_of(images: Sequence[LabelledImage], patch: Shape, *, cache_bytes: int) -> Regions:
    """The sources cut so that `cache_bytes` hold enough regions for patches of up to `patch`.

    ConfigError if these are too few for the smallest regions.
    """
    everything = sum(image.box.size * voxel_bytes(image) for image in images)
    whole = tuple(Region(n, image.box, image.box) for n, image in enumerate(images))
    if everything <= cache_bytes:
        return Regions(tuple(images), whole)
    deepest = max(map(voxel_bytes, images))
    core = _core(patch, cache_bytes // ((SLOTS + AHEAD) * deepest), bytes_of_voxel=deepest)
    cut = (
        Region(number, block.core.shift(image.box.start), read_box(image.box, block.core, patch))
        for number, image in enumerate(images)
        for block in Tiling(image.box.shape, core)
    )
    return Regions(tuple(images), tuple(cut), core)


def read_box(whole: Box, core: Box, patch: Shape) -> Box:
    """What of `whole` is in the patches around voxels of `core`, which counts from its start."""
    last = each(lambda b: b - 1, core.stop)
    start = each(first_voxel, core.start, patch, whole.shape)
    ends = each(first_voxel, last, patch, whole.shape)
    stop = each(lambda a, n: a + n, ends, patch)
    # what a patch sees in the mirror lies as far inside, and in the patch as well
    return Box(start, stop).clip(whole_box(whole.shape)).shift(whole.start)


def first_voxel(centre: int, length: int, size: int) -> int:
    """Where a patch begins along an axis: moved so that most of it is inside, if it fits."""
    beyond = length // OUTSIDE
    low, high = -beyond, size - length + beyond
    return min(max(centre - length // 2, low), high) if low <= high else (size - length) // 2


def _core(patch: Shape, voxels: int, *, bytes_of_voxel: int) -> Shape:
    """The largest core, of the patch's proportions, for which no more than `voxels` are read."""
    parts = 0
    while prod(_grown(patch, parts + 1)) <= voxels:
        parts += 1
    if not parts:
        least = prod(_grown(patch, 1)) * (SLOTS + AHEAD) * bytes_of_voxel
        raise ConfigError(
            f"[train] cache_gb = {voxels * (SLOTS + AHEAD) * bytes_of_voxel / 1e9:.3g} is too "
            f"little for regions of {' x '.join(map(str, patch))} voxels and more; give at least "
            f"{least / 1e9:.2g}, make patch smaller or look along fewer axes"
        )
    return each(lambda n: max(1, n * parts // FINEST), patch)


def _grown(patch: Shape, parts: int) -> Shape:
    return each(lambda n: n + max(1, n * parts // FINEST), patch)
