"""The part of a volume that an option `box` names, in voxels or as lengths.

z0:z1,y0:y1,x0:x1    from the first voxel up to, not including, the last; an end that is left
                     out is the volume's own
0:2um,0:10um,:       lengths from the volume's corner; a unit counts for both ends of its range
512, 64x512x512      a box of that size around the middle, no larger than the volume; also 5um
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from volproc.errors import GridError
from volproc.grid.box import Box, Shape, each, whole_box
from volproc.grid.scale import VoxelNm
from volproc.grid.units import nm_per, number_and_unit

_EXPECTED = (
    'expected "z0:z1,y0:y1,x0:x1" in voxels or with units ("0:2um,0:10um,0:10um"), or the size of '
    'a box in the middle ("512", "64x512x512", "5um")'
)


@dataclass(frozen=True)
class _End:
    """A number of voxels, or of `nm` each."""

    number: float
    nm: float | None = None

    @property
    def size(self) -> float:
        """In nm, or in voxels."""
        return self.number * (self.nm or 1)

    def voxels(self, voxel_nm: float) -> int:
        """The nearest border between two voxels."""
        return int(self.number * (self.nm / voxel_nm if self.nm else 1) + 0.5)


@dataclass(frozen=True)
class Crop:
    """A box before the volume is known: a range per axis, or the size of a box in the middle."""

    text: str
    ranges: tuple[tuple[_End | None, _End | None], ...] = ()
    sizes: tuple[_End, ...] = ()

    def box(self, shape: Shape, voxel_nm: VoxelNm) -> Box:
        """The voxels that it names of a volume; GridError if there are none, or not all of them."""
        if self.sizes:
            requested = each(lambda end, nm: max(1, end.voxels(nm)), self.sizes, voxel_nm)
            size = each(min, requested, shape)
            start = each(lambda n, s: (n - s) // 2, shape, size)
            return Box(start, each(lambda a, s: a + s, start, size))
        found = Box(
            each(lambda ends, nm: ends[0].voxels(nm) if ends[0] else 0, self.ranges, voxel_nm),
            each(
                lambda ends, n, nm: ends[1].voxels(nm) if ends[1] else n,
                *(self.ranges, shape, voxel_nm),
            ),
        )
        self._require_inside(found, shape, voxel_nm)
        return found

    def _require_inside(self, found: Box, shape: Shape, voxel_nm: VoxelNm) -> None:
        for axis, a, b, n, nm in zip("zyx", found.start, found.stop, shape, voxel_nm, strict=True):
            if max(a, b) > n:
                raise GridError(
                    f"box {self.text!r}: along {axis} it names voxels {a}:{b}, and the volume has "
                    f"{n} ({n * nm:g} nm); give ends within those"
                )
            if a >= b:
                raise GridError(
                    f"box {self.text!r}: along {axis} voxels {a}:{b} are none of voxels of {nm:g} "
                    "nm; the second end has to be beyond the first"
                )


def box_in(text: str, shape: Shape, voxel_nm: VoxelNm) -> Box:
    """The voxels of a volume that an option `box` names: all if it is empty."""
    return parse_crop(text).box(shape, voxel_nm) if text else whole_box(shape)


def parse_crop(text: str) -> Crop:
    """The box that a text names; GridError, one line, if it names none."""
    if ":" not in text:
        sizes = re.sub(r"\s*\^\s*3$", "", text.strip()).split("x")
        if len(sizes) not in (1, 3):
            raise GridError(f"box {text!r} has {len(sizes)} sizes; {_EXPECTED}")
        ends = tuple(_end(size, text) for size in sizes)
        if min(end.number for end in ends) <= 0:
            raise GridError(f"box {text!r} has a size of 0; {_EXPECTED}")
        return Crop(text, sizes=ends * (3 // len(ends)))
    parts = text.split(",")
    if len(parts) != 3:
        raise GridError(f"box {text!r} has {len(parts)} ranges; {_EXPECTED}")
    axes = zip("zyx", parts, strict=True)
    return Crop(text, ranges=tuple(_range(part.strip(), axis, text) for axis, part in axes))


def _range(part: str, axis: str, text: str) -> tuple[_End | None, _End | None]:
    """The two ends of a range; None where it is the volume's."""
    if part.count(":") != 1:
        raise GridError(f"box {text!r}: {part!r} is no range along {axis}; {_EXPECTED}")
    first, last = part.split(":")
    units = [found[1] for found in map(number_and_unit, (last, first)) if found]
    unit = next(filter(None, units), "")  # of the last end, or else of the first
    begin, end = (_end(one, text, unit) if one.strip() else None for one in (first, last))
    if begin and end and begin.size >= end.size:
        raise GridError(
            f"box {text!r}: along {axis} it begins at {first.strip()} and ends at {last.strip()}; "
            "the second end has to be beyond the first"
        )
    return begin, end


def _end(part: str, text: str, unit: str = "") -> _End:
    """One number with its unit, or `unit` where it has none."""
    part = part.strip()
    found = number_and_unit(part)
    if found is None:
        raise GridError(f"box {text!r}: {part!r} is no length; {_EXPECTED}")
    number, unit = found[0], found[1] or unit
    nm = nm_per(unit) if unit else None
    if unit and nm is None:
        raise GridError(f"box {text!r}: {unit!r} is no unit of length; take nm, um or mm")
    if number < 0:
        raise GridError(f"box {text!r}: {part} is negative; a volume begins at 0")
    if nm is None and number != int(number):
        raise GridError(
            f"box {text!r}: {part} is no whole number of voxels; for a length give a unit, such as "
            "1.5um"
        )
    return _End(number, nm)
