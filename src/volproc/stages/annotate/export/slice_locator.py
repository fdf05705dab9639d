"""From subjects to slices of the volume: which region, which slice, how large a pixel is.

The file name of a frame states region and slice, by the options' pattern:

    Image 2 = ROI_1656-6756-329_z0100.jpg      roi ROI_1656-6756-329, slice 100, from first_slice

A pattern without the group `roi` takes the subject's name for the region's, one without `slice`
means that each region is a single slice. Subjects made by `volproc subjects` state them in `roi`
and `slice`. Where a region lies is stated by the first of these that does:

    roi_z, roi_y, roi_x, roi_depth, ...    voxels, in a manifest.csv or in the subject's metadata
    corner_z_nm, corner_y_nm, ...          nm, in exports of `volproc crowd`: of a region that
                                           reaches beyond the volume, the part inside counts
    nothing                                the region is the whole volume
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
from volproc.stages.annotate.export.marks import Size
from volproc.stages.annotate.export.rejections import UnusableRow
from volproc.stages.annotate.export.subject_metadata import (
    Manifest,
    box_of,
    corner_of,
    first_positive,
    shape_of,
    text_of,
    whole_number,
)
from volproc.stages.annotate.export.zooniverse import Classification
from volproc.stages.annotate.options import AnnotateOptions
from volproc.volume.metadata import PositionNm
from volproc.volume.sampling import box_at

NM_KEYS = (
    ("voxel_z_nm", "Raw Z resolution (nm)"),
    ("voxel_y_nm", "Raw XY resolution (nm)"),
    ("voxel_x_nm", "Raw XY resolution (nm)"),
)
"""Where subjects state the voxel size, (z, y, x): ours, Etch-a-Cell's."""
TOLERANCE = 0.01
"""By which share voxel sizes and the two scales of an image may differ."""
WAY_OUT = "--subject-name, --frame-name, --frame-pattern and --first-slice say how slices are named"
MAX_NAMED, MAX_CHARACTERS = 6, 24
"""Keys of a subject's metadata in a message, and characters of each."""


@dataclass(frozen=True)
class PlacedDrawing:
    """One volunteer's strokes on slice `z` of the volume, in voxels from `box`'s corner.

    `shown`: on the frame to draw on. `assumed`: nothing states where the region lies.
    """

    region: str
    box: Box
    z: int
    shown: bool
    strokes: tuple[Stroke, ...]
    assumed: bool = False


class SliceLocator:
    """Finds the slices of a volume that subjects show.

    `volume` is its box, and its corner is at `corner_nm`; without `voxel_nm` neither the sizes nor
    the places in nm that subjects state are looked at.
    """

    def __init__(
        self,
        options: AnnotateOptions,
        *,
        volume: Box,
        voxel_nm: VoxelNm | None = None,
        corner_nm: PositionNm = (0.0, 0.0, 0.0),
        manifest: Manifest | None = None,
    ) -> None:
        self.options, self.volume = options, volume
        self.voxel_nm, self.corner_nm = voxel_nm, corner_nm
        self.manifest = manifest or Manifest()
        try:
            self._pattern = re.compile(options.frame_pattern)
        except re.error as error:
            raise AnnotateError(
                f"[annotate] frame_pattern = {options.frame_pattern!r} is no regular expression "
                f"({error}); the default is {AnnotateOptions().frame_pattern!r}"
            ) from error

    def place(self, found: Classification) -> tuple[PlacedDrawing, ...]:
        """A vote for each frame that was drawn on, or an empty one for the frame shown.

        UnusableRow, with the reason, where that is not known.
        """
        known = self.known(found)
        self._require_voxel_size(known)
        return tuple(self._placed(found, known, *where) for where in self.slices(found, known))

    def slices(
        self, found: Classification, known: Mapping[str, Any]
    ) -> Iterator[tuple[int, str, int]]:
        """Each frame that was drawn on, or else the one shown: its region, and the slice in it."""
        for frame in sorted(found.drawn) or [found.shown]:
            yield frame, *self._slice(frame, found, known)

    def _placed(
        self, found: Classification, known: Mapping[str, Any], frame: int, region: str, number: int
    ) -> PlacedDrawing:
        box, assumed = self._region(region, known)
        z, part = box.start[0] + number, box.clip(self.volume)
        if not box.start[0] <= z < box.stop[0]:
            detail = f"slice {number} of region {region}, which has {box.shape[0]}"
            raise UnusableRow("outside the volume", detail)
        if not part.size or not part.start[0] <= z < part.stop[0]:
            raise UnusableRow("outside the volume", f"slice {number} of region {region}, at {box}")
        strokes = found.drawn.get(frame, ())
        if strokes:
            strokes = _scaled(strokes, _size(frame, found, known, box), box, part)
        return PlacedDrawing(region, part, z, frame == found.shown, strokes, assumed)

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
            raise UnusableRow("another region", region)
        return region, number

    def _named(
        self, frame: int, found: Classification, known: Mapping[str, Any]
    ) -> tuple[str, int]:
        key = self.options.frame_name.replace("{frame}", str(frame))
        name = text_of(known, key)
        if name is None:
            keys = ", ".join(repr(one[:MAX_CHARACTERS]) for one in sorted(known)[:MAX_NAMED])
            raise UnusableRow("no slice", f"the subject's metadata lack {key!r}; they have {keys}")
        match = self._pattern.fullmatch(name.rpartition("/")[2])
        if not match:
            raise UnusableRow("no slice", f"{key} = {name!r} is not as frame_pattern says")
        groups = match.groupdict()
        first = self.options.first_slice
        number = whole_number(groups["slice"]) if "slice" in groups else first
        if number is None:
            raise UnusableRow("no slice", f"{key} = {name!r}: the slice is no whole number")
        subject = text_of(known, self.options.subject_name) or found.subject
        return groups.get("roi") or subject, number - first

    def _region(self, name: str, known: Mapping[str, Any]) -> tuple[Box, bool]:
        """Where a region lies, and whether that is only assumed."""
        box = self.manifest.regions.get(name) or box_of(known)
        if box is None and self.manifest.regions:
            raise UnusableRow("unknown region", f"{name} is not in the manifest")
        if box is None:
            return self._region_in_nm(name, known)
        if not self.volume.contains(box) or not box.size:
            raise UnusableRow("outside the volume", f"region {name} is {box}")
        return box, False

    def _region_in_nm(self, name: str, known: Mapping[str, Any]) -> tuple[Box, bool]:
        """The region at its stated corner; the whole volume where none is stated."""
        shape, corner = shape_of(known), corner_of(known)
        if self.voxel_nm is None or shape is None:
            return self.volume, True
        if corner:
            box = box_at(corner, shape, origin_nm=self.corner_nm, voxel_nm=self.voxel_nm)
            return box, False
        if shape != self.volume.shape:
            own, whole = (" x ".join(map(str, one)) for one in (shape, self.volume.shape))
            detail = f"{name} has {own} voxels, the volume {whole}, and nothing says where it lies"
            raise UnusableRow("unknown region", detail)
        return self.volume, True

    def _require_voxel_size(self, known: Mapping[str, Any]) -> None:
        for axis, keys, nm in zip("zyx", NM_KEYS, self.voxel_nm or (), strict=False):
            stated = first_positive(known, keys) or nm
            if abs(stated - nm) > TOLERANCE * nm:
                detail = f"{stated:g} nm along {axis}, where the volume has {nm:g} nm"
                raise UnusableRow("another voxel size", detail)


def natural_size(frame: int, found: Classification) -> Size | None:
    """Height and width of a frame; all frames of a subject have the same. None if unknown."""
    own = found.sizes[frame] if frame < len(found.sizes) else None
    return own or next((size for size in found.sizes if size), None)


def _size(frame: int, found: Classification, known: Mapping[str, Any], box: Box) -> Size:
    """Height and width of a frame that shows the region in `box`."""
    size, scale = natural_size(frame, found), first_positive(known, ["scale"])
    _, height, width = box.shape
    if size is None and scale:
        size = max(1.0, float(round(height * scale))), max(1.0, float(round(width * scale)))
    if size is None:
        raise UnusableRow("no image size", "naturalWidth and naturalHeight are missing")
    y, x = height / size[0], width / size[1]
    # the last pixel of either side may be rounded
    if abs(y - x) > (TOLERANCE + 1 / size[0] + 1 / size[1]) * max(y, x):
        detail = f"{size[0]:g} x {size[1]:g} pixels for a region of {height} x {width} voxels"
        raise UnusableRow("another image size", detail)
    return size


def _scaled(strokes: tuple[Stroke, ...], size: Size, box: Box, part: Box) -> tuple[Stroke, ...]:
    """Strokes on a frame of `size` that shows `box`, in voxels from the corner of its `part`."""
    scale = np.array(box.shape[1:]) / size
    shift = np.subtract(box.start[1:], part.start[1:])
    return tuple(Stroke((s.points * scale + shift).astype(np.float32), s.closed) for s in strokes)
