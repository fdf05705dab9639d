"""Where regions lie if there is no image: found in the export itself, one after the other along z.

A pixel of a frame is a voxel, or as many as the subject's "Scaling factor" says. What a manifest
or the subjects say of regions and voxels goes first.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np

from volproc.engine.events import Watcher
from volproc.errors import AnnotateError
from volproc.grid.box import Box, Shape
from volproc.grid.scale import VoxelNm, parse_voxel_nm
from volproc.spreadsheet import neutral
from volproc.stages.annotate.gather import watched
from volproc.stages.annotate.manifest import (
    BOX_KEYS,
    Manifest,
    box_of,
    positive_number,
    read_manifest,
    text_of,
)
from volproc.stages.annotate.options import AnnotateOptions
from volproc.stages.annotate.places import NM_KEYS, WAY_OUT, Places, natural_size
from volproc.stages.annotate.rejected import Rejected, Unusable

MAX_SLICES = 100_000
"""Of a region. A larger number in a file name is a mistake, not a reason for so many slices."""
SCALES = ("scale", "Scaling factor")
ANYWHERE = Box((0, 0, 0), (2**40, 2**40, 2**40))


@dataclass(frozen=True)
class Layout:
    """A volume that holds all regions: its voxels, and where each region lies."""

    shape: Shape
    voxel_nm: VoxelNm
    regions: Mapping[str, Box]

    def manifest(self) -> str:
        """The regions as a table that `read_manifest` reads."""
        file = StringIO()
        writer = csv.writer(file)
        writer.writerow(("roi", *BOX_KEYS))
        for name, box in self.regions.items():
            writer.writerow((neutral(name), *box.start, *box.shape))
        return file.getvalue()


@dataclass
class _Seen:
    """What rows say of one region."""

    slices: int
    sizes: Counter[tuple[int, int]]
    boxes: Counter[Box]


def lay_out(export: str, options: AnnotateOptions, *, watchers: Sequence[Watcher] = ()) -> Layout:
    """A place for every region of the export; the export is read once for it.

    AnnotateError if no row says where it belongs, or nothing says how large a voxel is.
    """
    manifest = read_manifest(options.manifest) if options.manifest else Manifest()
    places = Places(options, volume=ANYWHERE, manifest=manifest)
    seen: dict[str, _Seen] = defaultdict(lambda: _Seen(0, Counter(), Counter()))
    voxels: Counter[tuple[float, ...]] = Counter()
    faults: Counter[str] = Counter()
    for found in watched(export, options, watchers, step="find the regions, MB"):
        if isinstance(found, Rejected):
            continue
        known = places.known(found)
        voxels.update([nm for nm in [_voxel(known)] if nm])
        try:
            for frame, region, number in places.slices(found, known):
                if number < MAX_SLICES:
                    _note(seen[region], number, known, natural_size(frame, found))
        except Unusable as why:
            faults[f"{why.reason} ({why.detail})"] += 1
    placed = {name: box for name, box in _placed(seen, manifest) if box.size}
    if not placed:
        said = next((fault for fault, _ in faults.most_common(1)), "none has drawings and a size")
        raise AnnotateError(f"no row of {export} says which slice it is of: {said}; {WAY_OUT}")
    stop = np.max([box.stop for box in placed.values()], axis=0)
    shape = (int(stop[0]), int(stop[1]), int(stop[2]))
    return Layout(shape, _agreed(options, voxels, export), placed)


def _note(
    own: _Seen, number: int, known: Mapping[str, Any], size: tuple[float, float] | None
) -> None:
    own.slices = max(own.slices, number + 1)
    scale = next((s for s in (positive_number(text_of(known, k)) for k in SCALES) if s), 1.0)
    if size:
        own.sizes[round(size[0] / scale), round(size[1] / scale)] += 1
    box = box_of(known)
    if box:
        own.boxes[box] += 1


def _placed(seen: Mapping[str, _Seen], manifest: Manifest) -> Iterator[tuple[str, Box]]:
    """Regions where they say they are, then the others by name, each after the one before."""
    known = dict(manifest.regions)
    for name, own in seen.items():
        if own.boxes and not manifest.regions:
            known[name] = own.boxes.most_common(1)[0][0]
    yield from known.items()
    z = max((box.stop[0] for box in known.values()), default=0)
    for name in sorted(set(seen) - set(known), key=_numbered) if not manifest.regions else ():
        own = seen[name]
        if own.sizes:
            rows, columns = min(own.sizes, key=lambda size: (-own.sizes[size], size))
            yield name, Box((z, 0, 0), (z + own.slices, rows, columns))
            z += own.slices


def _numbered(name: str) -> tuple[int, str]:
    """Sorts 10 after 9."""
    return (int(name), "") if name.isascii() and name.isdecimal() else (2**63, name)


def _voxel(known: Mapping[str, Any]) -> tuple[float, ...] | None:
    found = []
    for keys in NM_KEYS:
        numbers = (positive_number(text_of(known, key)) for key in keys)
        found.append(next((number for number in numbers if number), 0.0))
    return tuple(found) if all(found) else None


def _agreed(options: AnnotateOptions, voxels: Counter[tuple[float, ...]], export: str) -> VoxelNm:
    """What most rows say of the voxels, unless the options say it."""
    stated = options.voxel_nm or next((nm for nm, _ in voxels.most_common(1)), None)
    if stated is None:
        raise AnnotateError(
            f"{export} does not say how large a voxel is; without an image give it as "
            "--voxel-nm Z Y X ([annotate] voxel_nm)"
        )
    return parse_voxel_nm(stated)
