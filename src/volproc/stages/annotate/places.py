"""From subjects to slices of the volume: which region, which slice, how large a pixel is.

The file name of a frame tells region and slice, by the options' pattern:

    Image 2 = ROI_1656-6756-329_z0100.jpg      roi ROI_1656-6756-329, slice 100, from first_slice

A pattern without the group `roi` takes the subject's name for the region's, one without `slice`
means that each region is a single slice. Subjects made by `volproc subjects` say it in `roi` and
`slice` themselves, and where the region lies, in roi_z, roi_y, roi_x, roi_depth, roi_height and
roi_width. Otherwise a manifest.csv with these columns says so; otherwise the volume is the region.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from volproc.drawing import Stroke
from volproc.errors import AnnotateError
from volproc.grid.box import Box
from volproc.grid.scale import VoxelNm
from volproc.stages.annotate.manifest import (
    Manifest,
    box_of,
    positive_number,
    text_of,
    whole_number,
)
from volproc.stages.annotate.marks import Size
from volproc.stages.annotate.options import AnnotateOptions
from volproc.stages.annotate.rejected import Unusable
from volproc.stages.annotate.zooniverse import Classification

NM_KEYS = (
    ("voxel_z_nm", "Raw Z resolution (nm)"),
    ("voxel_y_nm", "Raw XY resolution (nm)"),
    ("voxel_x_nm", "Raw XY resolution (nm)"),
)
"""What subjects say of the voxels, (z, y, x): ours, Etch-a-Cell's."""
TOLERANCE = 0.01
"""By which share voxel sizes and the two scales of an image may differ."""
WAY_OUT = "--subject-name, --frame-name, --frame-pattern and --first-slice say how slices are named"
NAMED_KEYS, NAMED_CHARACTERS = 6, 24
"""Of a subject's metadata, in a message."""


@dataclass(frozen=True)
class Placed:
    """One volunteer's strokes on slice `z` of the volume, in voxels seen from `box`'s corner.

    `shown`: on the frame to draw on. `assumed`: nothing says where the region lies.
    """

    region: str
    box: Box
    z: int
    shown: bool
    strokes: tuple[Stroke, ...]
    assumed: bool = False


class Places:
    """Finds the slices of a volume that subjects show.

    `volume` is its box; without `voxel_nm` the sizes that subjects state are not compared.
    """

    def __init__(
        self,
        options: AnnotateOptions,
        *,
        volume: Box,
        voxel_nm: VoxelNm | None = None,
        manifest: Manifest | None = None,
    ) -> None:
        self.options, self.volume, self.voxel_nm = options, volume, voxel_nm
        self.manifest = manifest or Manifest()
        try:
            self._pattern = re.compile(options.frame_pattern)
        except re.error as error:
            raise AnnotateError(
                f"[annotate] frame_pattern = {options.frame_pattern!r} is no regular expression "
                f"({error}); the default is {AnnotateOptions().frame_pattern!r}"
            ) from error

    def place(self, found: Classification) -> tuple[Placed, ...]:
        """A vote for each frame that was drawn on, or an absent one for the frame shown.

        Unusable, with the reason, where that cannot be told.
        """
        known = self.known(found)
        self._require_voxel_size(known)
        return tuple(self._votes(found, known))

    def slices(
        self, found: Classification, known: Mapping[str, Any]
    ) -> Iterator[tuple[int, str, int]]:
        """Each frame that was drawn on, or else the one shown: its region, and the slice in it."""
        for frame in sorted(found.drawn) or [found.shown]:
            yield frame, *self._slice(frame, found, known)

    def _votes(self, found: Classification, known: Mapping[str, Any]) -> Iterator[Placed]:
        for frame, region, number in self.slices(found, known):
            box, assumed = self._region(region, known)
            z = box.start[0] + number
            if not box.start[0] <= z < box.stop[0]:
                raise Unusable(
                    "outside the volume",
                    f"slice {number} of region {region}, which has {box.shape[0]}",
                )
            strokes = found.drawn.get(frame, ())
            if strokes:
                strokes = _scaled(strokes, _size(frame, found, known, box), box)
            yield Placed(region, box, z, frame == found.shown, strokes, assumed)

    def known(self, found: Classification) -> Mapping[str, Any]:
        """The subject's metadata, and the manifest's where it lacks something."""
        names = (text_of(found.metadata, key) for key in (self.options.subject_name, "subject"))
        rows = (self.manifest.subjects.get(name or "") for name in names)
        row = next((row for row in rows if row), {})
        return {**row, **found.metadata}

    def _slice(
        self, frame: int, found: Classification, known: Mapping[str, Any]
    ) -> tuple[str, int]:
        """Name of the region, and the slice in it, from 0, that a frame shows."""
        region, first = text_of(known, "roi"), whole_number(text_of(known, "slice"))
        if region is not None and first is not None:
            number = first + frame - found.shown
        else:
            region, number = self._named(frame, found, known)
        if self.options.rois and region not in self.options.rois:
            raise Unusable("another region", region)
        return region, number

    def _named(
        self, frame: int, found: Classification, known: Mapping[str, Any]
    ) -> tuple[str, int]:
        key = self.options.frame_name.replace("{frame}", str(frame))
        name = text_of(known, key)
        if name is None:
            keys = ", ".join(repr(one[:NAMED_CHARACTERS]) for one in sorted(known)[:NAMED_KEYS])
            raise Unusable("no slice", f"the subject's metadata lack {key!r}; they have {keys}")
        match = self._pattern.fullmatch(name.rpartition("/")[2])
        if not match:
            raise Unusable("no slice", f"{key} = {name!r} is not as frame_pattern says")
        groups = match.groupdict()
        first = self.options.first_slice
        number = whole_number(groups["slice"]) if "slice" in groups else first
        if number is None:
            raise Unusable("no slice", f"{key} = {name!r}: the slice is no whole number")
        subject = text_of(known, self.options.subject_name) or found.subject
        return groups.get("roi") or subject, number - first

    def _region(self, name: str, known: Mapping[str, Any]) -> tuple[Box, bool]:
        """Where a region lies, and whether that is only assumed."""
        box = self.manifest.regions.get(name) or box_of(known)
        if box is None and self.manifest.regions:
            raise Unusable("unknown region", f"{name} is not in the manifest")
        if box is None:
            return self.volume, True
        if not self.volume.contains(box) or not box.size:
            raise Unusable("outside the volume", f"region {name} is {box}")
        return box, False

    def _require_voxel_size(self, known: Mapping[str, Any]) -> None:
        for axis, keys, nm in zip("zyx", NM_KEYS, self.voxel_nm or (), strict=False):
            numbers = (positive_number(text_of(known, key)) for key in keys)
            stated = next((number for number in numbers if number), nm)
            if abs(stated - nm) > TOLERANCE * nm:
                raise Unusable(
                    "another voxel size",
                    f"{stated:g} nm along {axis}, where the volume has {nm:g} nm",
                )


def natural_size(frame: int, found: Classification) -> Size | None:
    """Height and width of a frame; all frames of a subject have the same. None if unknown."""
    own = found.sizes[frame] if frame < len(found.sizes) else None
    return own or next((size for size in found.sizes if size), None)


def _size(frame: int, found: Classification, known: Mapping[str, Any], box: Box) -> Size:
    """Height and width of a frame that shows the region in `box`."""
    size = natural_size(frame, found)
    scale = positive_number(text_of(known, "scale"))
    _, height, width = box.shape
    if size is None and scale:
        size = max(1.0, float(round(height * scale))), max(1.0, float(round(width * scale)))
    if size is None:
        raise Unusable("no image size", "naturalWidth and naturalHeight are missing")
    y, x = height / size[0], width / size[1]
    if abs(y - x) > (TOLERANCE + 1 / size[0] + 1 / size[1]) * max(y, x):
        raise Unusable(
            "another image size",
            f"{size[0]:g} x {size[1]:g} pixels for a region of {height} x {width} voxels",
        )
    return size


def _scaled(strokes: tuple[Stroke, ...], size: Size, box: Box) -> tuple[Stroke, ...]:
    scale = np.array(box.shape[1:]) / size
    return tuple(Stroke((s.points * scale).astype(np.float32), s.closed) for s in strokes)
