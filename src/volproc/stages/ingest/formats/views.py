"""Sources seen differently: axes in another order, a part, packed voxels, greys by another rule."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from volproc.errors import IngestError
from volproc.grid.box import Box, Shape, each, whole_box
from volproc.stages.ingest.voxel_source import Source


@dataclass(frozen=True, kw_only=True)
class View(Source):
    """A source made of another one, `inside`, which states all that the view does not change."""

    inside: Source

    @classmethod
    def of(cls, inside: Source, **changed: Any) -> Self:
        """The view of `inside`, with these fields its own."""
        same = {field.name: getattr(inside, field.name) for field in fields(Source)}
        return cls(inside=inside, **{**same, **changed})


@dataclass(frozen=True, kw_only=True)
class Nibbles(View):
    """Voxels of 0 to 15, two in each byte of a row, the first in the lower half."""

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        first = box.start[2] // 2
        cover = Box((*box.start[:2], first), (*box.stop[:2], -(-box.stop[2] // 2)))
        packed = self.inside.read(cover)
        both = np.stack([packed & 15, packed >> 4], axis=-1)
        both = both.reshape(*packed.shape[:2], 2 * packed.shape[2])
        return both[:, :, box.start[2] - 2 * first : box.stop[2] - 2 * first]


@dataclass(frozen=True, kw_only=True)
class Turned(View):
    """A source whose z, y and x are the `axes` of another one; that one states the voxel size.

    A plane of another axis touches every plane of the file.
    """

    axes: Shape

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        there = each(self.axes.index, (0, 1, 2))
        start, stop = (
            each(lambda axis, end=end: end[axis], there) for end in (box.start, box.stop)
        )
        return np.ascontiguousarray(self.inside.read(Box(start, stop)).transpose(self.axes))


def turned(inside: Source, axes: Shape) -> Source:
    """The source with z, y and x where `axes` has them."""
    if axes == (0, 1, 2):
        return inside
    shape = each(lambda axis: inside.shape[axis], axes)
    return Turned.of(inside, axes=axes, shape=shape, by_rows=False)


@dataclass(frozen=True, kw_only=True)
class Flipped(View):
    """A source whose `flips` axes (z, y, x) run the other way."""

    flips: tuple[bool, bool, bool]

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        ends = self.flips, self.shape, box.start, box.stop
        start = each(lambda flip, n, start, stop: n - stop if flip else start, *ends)
        stop = each(lambda flip, n, start, stop: n - start if flip else stop, *ends)
        values = self.inside.read(Box(start, stop))
        return np.ascontiguousarray(np.flip(values, tuple(np.flatnonzero(self.flips).tolist())))


_AS_STORED, _TRANSPOSED = (0, 1, 2), (0, 2, 1)
_ORIENTATIONS = {
    2: ((False, False, True), _AS_STORED),
    3: ((False, True, True), _AS_STORED),
    4: ((False, True, False), _AS_STORED),
    5: ((False, False, False), _TRANSPOSED),
    6: ((False, True, False), _TRANSPOSED),
    7: ((False, True, True), _TRANSPOSED),
    8: ((False, False, True), _TRANSPOSED),
}
"""By the number that TIFF and EXIF state: which axes run the other way, and their order then."""


def oriented(inside: Source, orientation: Any) -> Source:
    """The planes as their file says that they are to be looked at; 1, and no number, as stored."""
    if orientation not in _ORIENTATIONS:
        return inside
    flips, axes = _ORIENTATIONS[orientation]
    said = f"its orientation tag is {orientation}: planes were turned as it says"
    note = "; ".join(filter(None, (inside.note, said)))
    return turned(Flipped.of(inside, flips=flips, note=note), axes)


@dataclass(frozen=True, kw_only=True)
class Part(View):
    """The voxels of `box` of another source; that one states where it begins."""

    box: Box

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`, counted from the part's first."""
        return self.inside.read(box.shift(self.box.start))


def part_of(inside: Source, box: Box) -> Source:
    """The part of a source in `box`; itself where that is all of it."""
    if box == whole_box(inside.shape):
        return inside
    first, stop = box.start[0], box.stop[0]
    filled = tuple(z - first for z in inside.filled if first <= z < stop)
    return Part.of(inside, box=box, shape=box.shape, filled=filled)


@dataclass(frozen=True, kw_only=True)
class WithoutNaN(View):
    """A source of floats in which NaN became `value`."""

    value: float

    def __post_init__(self) -> None:
        if abs(self.value) > float(np.finfo(self.dtype).max):
            raise IngestError(
                f"[ingest] nan = {self.value:g} is beyond {self.dtype}, which the files hold"
            )

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        values = self.inside.read(box)
        return np.where(np.isnan(values), values.dtype.type(self.value), values)


@dataclass(frozen=True, kw_only=True)
class Inverted(View):
    """A source with black and white exchanged: 0 becomes `white`, the highest value becomes 0.

    Signed values have no `white`: their two ends change places.
    """

    white: int | None

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        values = self.inside.read(box)
        if self.white is None:
            inverted: npt.NDArray[Any] = np.invert(values)
        else:
            inverted = np.subtract(self.white, values, dtype=values.dtype)
        return inverted


@dataclass(frozen=True, kw_only=True)
class ByPalette(View):
    """A source whose values are indices into a palette of `greys`."""

    greys: tuple[int, ...]
    url: str

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`; IngestError for an index that the palette lacks."""
        greys: npt.NDArray[Any] = np.asarray(self.greys, dtype=self.dtype)
        indices = self.inside.read(box)
        if indices.max(initial=0) >= len(greys):
            raise IngestError(
                f"{self.url} holds the index {indices.max()} into a palette of {len(greys)}; give "
                "--labels if the values are ids, or save it as grey"
            )
        return greys.take(indices)
