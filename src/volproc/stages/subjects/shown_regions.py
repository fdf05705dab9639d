"""Regions of interest, which of their slices are shown with one another, and what they are called.

    region, 9 slices      0 1 2 3 4 5 6 7 8          frames = 5
    subject of slice 4        2 3[4]5 6              draw on frame 3
    subject of slice 1    0[1]2 3 4                  draw on frame 2
    subject of slice 8          4 5 6 7[8]           draw on frame 5

Frames never leave the region. Near its ends they are shifted, so that all subjects have the same
number of them: uploaders take the columns with files from the first row of a manifest.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import pairwise

from volproc.errors import ConfigError
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Box, each
from volproc.stages.subjects.options import SubjectsOptions
from volproc.volume.file_io import read_file
from volproc.volume.metadata import VolumeInfo

Roi = tuple[int, int, int, int, int, int]
"""Voxels of the image: the first one (z, y, x), then the lengths."""
ROI_COLUMNS = ("z", "y", "x", "depth", "height", "width")

SAMPLED_SLICES = 8
SAMPLED_ACROSS = 3
SAMPLED_PIXELS = 256
"""A region's contrast is taken from 8 slices, on each from 3 x 3 squares of up to 256 x 256."""


@dataclass(frozen=True)
class Region:
    """A part of the volume that volunteers see, and its name."""

    name: str
    box: Box

    @property
    def depth(self) -> int:
        """Its slices."""
        return self.box.shape[0]

    def frame(self, z: int) -> str:
        """The name of slice `z` of the region, without an ending; in names slices count from 1.

        >>> Region("ROI_50-50-5", Box((0, 0, 0), (10, 100, 100))).frame(4)
        'ROI_50-50-5_z005'
        """
        return f"{self.name}_z{z + 1:0{max(3, len(str(self.depth)))}d}"


def region_at(box: Box) -> Region:
    """The region at `box`, named by the voxel in its middle, x first, as EMPIAR-10478 does.

    >>> region_at(Box((179, 5756, 656), (479, 7756, 2656))).name
    'ROI_1656-6756-329'
    """
    z, y, x = each(lambda a, b: (a + b) // 2, box.start, box.stop)
    return Region(f"ROI_{x}-{y}-{z}", box)


def regions_of(image: VolumeInfo, options: SubjectsOptions) -> tuple[Region, ...]:
    """The regions that are listed, or tiles of the whole volume; clipped at the volume's ends.

    ConfigError for one that lies outside, two that would have the same name, or a file of regions
    that is none.
    """
    rois = options.rois + _in_file(options.rois_file, first=options.rois_first)
    if not rois:
        tiles = Tiling(image.shape, core=each(min, options.roi, image.shape))
        return tuple(region_at(block.core) for block in tiles)
    regions = tuple(region_at(_listed(roi, image)) for roi in rois)
    name, count = Counter(region.name for region in regions).most_common(1)[0]
    if count > 1:
        raise ConfigError(
            f"[subjects] rois has {count} regions with the same middle, {name}; leave one out"
        )
    return regions


def _in_file(url: str, *, first: int) -> tuple[Roi, ...]:
    if not url:
        return ()
    try:
        rows = list(csv.DictReader(StringIO(read_file(url).decode())))
        found = tuple(_roi(row) for row in rows[: first or None])
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ConfigError(_NO_LIST.format(url=url)) from error
    if not found:
        raise ConfigError(_NO_LIST.format(url=url))
    return found


_NO_LIST = (
    "[subjects] rois_file = {url} is no list of regions: it needs a row of whole numbers z, y, x, "
    "depth, height, width per region, as `volproc predict --regions-um` writes"
)


def _roi(row: Mapping[str, str]) -> Roi:
    z, y, x, depth, height, width = (int(row[key]) for key in ROI_COLUMNS)
    return z, y, x, depth, height, width


def _listed(roi: Roi, image: VolumeInfo) -> Box:
    z, y, x, *lengths = roi
    box = Box((z, y, x), each(lambda a, n: a + n, (z, y, x), lengths)).clip(image.box)
    if not box.size:
        raise ConfigError(
            f"[subjects] rois: {list(roi)} holds no voxel of {image.url}, which has {image.shape}; "
            "give z, y, x of the first voxel, then three lengths"
        )
    return box


def drawn_slices(region: Region, *, every: int) -> range:
    """The slices that volunteers draw on, counted in the region."""
    return range(0, region.depth, every)


def frames_at(z: int, *, depth: int, frames: int) -> range:
    """The slices shown with slice `z`: it in the middle, shifted at the ends of the region.

    >>> frames_at(4, depth=9, frames=5), frames_at(1, depth=9, frames=5)
    (range(2, 7), range(0, 5))
    """
    shown = min(frames, depth)
    first = min(max(0, z - (shown - 1) // 2), depth - shown)
    return range(first, first + shown)


def shown_slices(region: Region, options: SubjectsOptions) -> tuple[int, ...]:
    """All slices of the region that any of its subjects shows, once each, in their order."""
    drawn = drawn_slices(region, every=options.every)
    shown = (frames_at(z, depth=region.depth, frames=options.frames) for z in drawn)
    return tuple(sorted({z for frames in shown for z in frames}))


def slabs_of(
    regions: Sequence[Region], options: SubjectsOptions, *, depth: int
) -> Iterator[tuple[Box, Region]]:
    """What is cut at once: slices of a region that are shown, from one `depth` of the volume's.

    They are counted from the volume's first slice, so that its chunks are read once.
    """
    for region in regions:
        first = region.box.start[0]
        together: dict[int, list[int]] = {}
        for z in shown_slices(region, options):
            together.setdefault((first + z) // depth, []).append(first + z)
        for slices in together.values():
            (_, *start), (_, *stop) = region.box.start, region.box.stop
            start_yx, stop_yx = (start[0], start[1]), (stop[0], stop[1])
            yield Box((slices[0], *start_yx), (slices[-1] + 1, *stop_yx)), region


def blocks_of(slabs: Sequence[tuple[Box, Region]]) -> tuple[Block, ...]:
    """Slabs as blocks; `read` is the whole region, by which a task knows it."""
    return tuple(Block(n, slab, region.box) for n, (slab, region) in enumerate(slabs))


def sample_of(box: Box) -> list[Box]:
    """Squares of some slices of a region, spread evenly: what its contrast is taken from."""
    z, y, x = (
        _spread(a, b, parts, size)
        for a, b, parts, size in zip(
            box.start,
            box.stop,
            (SAMPLED_SLICES, SAMPLED_ACROSS, SAMPLED_ACROSS),
            (1, SAMPLED_PIXELS, SAMPLED_PIXELS),
            strict=True,
        )
    )
    return [
        Box((a.start, b.start, c.start), (a.stop, b.stop, c.stop)) for a in z for b in y for c in x
    ]


def _spread(start: int, stop: int, parts: int, size: int) -> list[range]:
    """Up to `parts` stretches of up to `size`, each in the middle of an equal part of an axis."""
    parts = min(parts, stop - start)
    edges = [start + n * (stop - start) // parts for n in range(parts + 1)]
    found = []
    for a, b in pairwise(edges):
        length = min(size, b - a)
        first = a + (b - a - length) // 2
        found.append(range(first, first + length))
    return found
