"""Where regions lie if there is no image: found in the export itself, one after the other along z.

A pixel of a frame is a voxel, or as many as the subject's "Scaling factor" states. What a manifest
or the subjects state of regions and voxels takes precedence.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from volproc.engine.events import Watcher
from volproc.errors import AnnotateError
from volproc.grid.box import Box, Shape
from volproc.grid.scale import VoxelNm, parse_voxel_nm
from volproc.spreadsheet import table_csv
from volproc.stages.annotate.export.rejections import Rejection, UnusableRow
from volproc.stages.annotate.export.slice_locator import (
    NM_KEYS,
    WAY_OUT,
    SliceLocator,
    natural_size,
)
from volproc.stages.annotate.export.subject_metadata import (
    BOX_KEYS,
    Manifest,
    box_of,
    first_positive,
    read_manifest,
)
from volproc.stages.annotate.export.vote_reader import watched
from volproc.stages.annotate.options import AnnotateOptions

MAX_SLICES = 100_000
"""Of a region. A larger number in a file name is a mistake, not a reason for so many slices."""
SCALES = ("scale", "Scaling factor")
ANYWHERE = Box((0, 0, 0), (2**40, 2**40, 2**40))


@dataclass(frozen=True)
class RegionLayout:
    """A volume that holds all regions: its voxels, and where each region lies."""

    shape: Shape
    voxel_nm: VoxelNm
    regions: Mapping[str, Box]

    def manifest(self) -> str:
        """The regions as a table that `read_manifest` reads."""
        rows = [(name, *box.start, *box.shape) for name, box in self.regions.items()]
        return table_csv(("roi", *BOX_KEYS), rows)


@dataclass
class _RegionCounts:
    """What rows state of one region."""

    slices: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    boxes: Counter[Box] = field(default_factory=Counter)

    def add(self, number: int, known: Mapping[str, Any], size: tuple[float, float] | None) -> None:
        self.slices = max(self.slices, number + 1)
        scale = first_positive(known, SCALES) or 1.0
        if size:
            self.sizes[round(size[0] / scale), round(size[1] / scale)] += 1
        self.boxes.update(box for box in [box_of(known)] if box)


def lay_out(
    export: str, options: AnnotateOptions, *, watchers: Sequence[Watcher] = ()
) -> RegionLayout:
    """A place for every region of the export, which is read once for it.

    AnnotateError if no row states its slice, or nothing states how large a voxel is.
    """
    manifest = read_manifest(options.manifest) if options.manifest else Manifest()
    places = SliceLocator(options, volume=ANYWHERE, manifest=manifest)
    regions: dict[str, _RegionCounts] = defaultdict(_RegionCounts)
    voxels: Counter[tuple[float, ...]] = Counter()
    faults: Counter[str] = Counter()
    for found in watched(export, options, watchers, step="find the regions, MB"):
        if isinstance(found, Rejection):
            continue
        known = places.known(found)
        nm = [first_positive(known, keys) for keys in NM_KEYS]
        if all(nm):
            voxels[tuple(filter(None, nm))] += 1
        try:
            for frame, region, number in places.slices(found, known):
                if number < MAX_SLICES:
                    regions[region].add(number, known, natural_size(frame, found))
        except UnusableRow as why:
            faults[f"{why.reason} ({why.detail})"] += 1
    placed = {name: box for name, box in _placed(regions, manifest) if box.size}
    if not placed:
        cause = next((one for one, _ in faults.most_common(1)), "none has drawings and a size")
        raise AnnotateError(f"no row of {export} says which slice it is of: {cause}; {WAY_OUT}")
    stop = np.max([box.stop for box in placed.values()], axis=0)
    shape = (int(stop[0]), int(stop[1]), int(stop[2]))
    return RegionLayout(shape, _voxel_nm(options, voxels, export), placed)


def _placed(regions: Mapping[str, _RegionCounts], manifest: Manifest) -> Iterator[tuple[str, Box]]:
    """Regions where they are stated to lie, then the others by name, each after the one before."""
    known = dict(manifest.regions)
    if not known:
        stated = ((name, own.boxes.most_common(1)) for name, own in regions.items())
        known = {name: boxes[0][0] for name, boxes in stated if boxes}
    yield from known.items()
    z = max((box.stop[0] for box in known.values()), default=0)
    for name in sorted(set(regions) - set(known), key=_numbered) if not manifest.regions else ():
        own = regions[name]
        if own.sizes:
            rows, columns = min(own.sizes, key=lambda size: (-own.sizes[size], size))
            yield name, Box((z, 0, 0), (z + own.slices, rows, columns))
            z += own.slices


def _numbered(name: str) -> tuple[int, str]:
    """Sorts 10 after 9."""
    return (int(name), "") if name.isascii() and name.isdecimal() else (2**63, name)


def _voxel_nm(options: AnnotateOptions, voxels: Counter[tuple[float, ...]], export: str) -> VoxelNm:
    """What most rows state of the voxels, unless the options do."""
    stated = options.voxel_nm or next((nm for nm, _ in voxels.most_common(1)), None)
    if stated is None:
        raise AnnotateError(
            f"{export} does not say how large a voxel is; without an image give it as "
            "--voxel-nm Z Y X ([annotate] voxel_nm)"
        )
    return parse_voxel_nm(stated)
