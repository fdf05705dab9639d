"""Gatan DigitalMicrograph files, DM3 and DM4: one slice, or a stack.

Which image of a file is read: the one that its document shows (ImageSourceList/*/ImageRef), so
never the thumbnail; a file without that list gives its largest image that is not listed as a
thumbnail (Thumbnails/*/ImageIndex). Of several, the largest.

Voxel size: Scale and Units of ImageData/Calibrations/Dimension. What a single slice, or a stack
without a calibrated third dimension, lacks is taken from where Gatan's 3View notes the thickness
of its sections in nm: ImageTags/SBFSEM/Record/Slice thickness. Otherwise it is unknown.

Position: Origin of the same dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import NamedTuple

import numpy as np

from volproc.errors import IngestError
from volproc.grid.box import each
from volproc.grid.units import in_nm
from volproc.stages.ingest.formats.dm_tags import Placed, Tag, find, read_tags
from volproc.stages.ingest.formats.raw import RawPlanes, raw_planes
from volproc.stages.ingest.voxel_source import Calibration, Stamp, opened, reading, stamp

_TYPES = {
    1: "i2",
    2: "f4",
    6: "u1",
    7: "i4",
    9: "i1",
    10: "u2",
    11: "u4",
    12: "f8",
    14: "u1",  # truth values of one byte, kept as they are
    39: "i8",
    40: "u8",
}
_NOT_GREY = {3: "complex", 5: "packed complex", 8: "RGB", 13: "complex", 23: "RGB"}
_SLICE_NM = "ImageTags/SBFSEM/Record/Slice thickness"


class _Axis(NamedTuple):
    """Voxels along one axis, their size in nm if the file states it, and where 0 is in voxels."""

    voxels: int
    nm: float | None = None
    origin: float = 0.0


def is_dm(head: bytes) -> bool:
    """Whether a file that begins like this is DM3 or DM4: version, byte order, flags of a group."""
    at = {3: 8, 4: 12}.get(int.from_bytes(head[:4]), 0)
    order, flags = head[at : at + 4], head[at + 4 : at + 6]
    return at > 0 and order in (b"\0\0\0\0", b"\0\0\0\1") and len(flags) == 2 and max(flags) <= 1


def open_dm(url: str) -> RawPlanes:
    """The image of a DM3 or DM4 file; IngestError for colour, complex numbers, four dimensions."""
    with reading(url):
        image, order, identity = _shown(url)
        axes = _axes(url, image)
        stored, shape = _stored(url, image), each(lambda axis: axis.voxels, axes)
        data = find(image, "ImageData/Data")
        expected = prod(shape) * np.dtype(stored).itemsize
        if not isinstance(data, Placed) or data.nbytes != expected:
            found = data.nbytes if isinstance(data, Placed) else 0
            raise ValueError(f"its image has {found} bytes, its size and type say {expected}")
        # the origin is where 0 is, in voxels from the first one
        centre = each(lambda axis: 0.0 - axis.origin, axes)
        return raw_planes(
            url,
            offsets=(data.offset,),
            stored=order + stored,
            shape=shape,
            stated=Calibration(each(lambda axis: axis.nm, axes), centre, in_voxels=True),
            identity=identity,
        )


def _shown(url: str) -> tuple[Tag, str, tuple[Stamp, ...]]:
    """The image to read, the byte order of the file, and its stamp."""
    identity = (stamp(url),)
    with opened(url) as file:
        tags, order = read_tags(file, size=identity[0][1])
    images = dict(enumerate(_members(tags, "ImageList")))
    shown = {find(entry, "ImageRef") for entry in _members(tags, "ImageSourceList")}
    small = {find(entry, "ImageIndex") for entry in _members(tags, "Thumbnails")}
    chosen = [image for number, image in images.items() if number in shown]
    chosen = chosen or [image for number, image in images.items() if number not in small]
    if not chosen:
        raise IngestError(f"{url} holds no image, only tags; expected one in its ImageList")
    return max(chosen, key=lambda image: prod(_dimensions(image))), order, identity


def _members(tags: Tag, name: str) -> Iterable[Tag]:
    group = find(tags, name)
    return group.values() if isinstance(group, dict) else ()


def _dimensions(image: Tag) -> list[int]:
    """Voxels along each axis, x first; 0 for what is not a number."""
    sizes = _members(image, "ImageData/Dimensions")
    return [size if isinstance(size, int) and size > 0 else 0 for size in sizes] or [0]


def _axes(url: str, image: Tag) -> tuple[_Axis, _Axis, _Axis]:
    """z, y and x."""
    sizes = _dimensions(image)
    if 0 in sizes:
        raise ValueError(f"its image has dimensions {sizes}")
    axes = [_calibrated(image, number, size) for number, size in enumerate(sizes)]
    for number in range(len(axes) - 1, 1, -1):
        if len(axes) > 3 and axes[number].voxels == 1:
            del axes[number]
    if len(axes) > 3:
        raise IngestError(
            f"{url} has {len(axes)} dimensions {tuple(sizes[::-1])}; a volume needs planes "
            "(z, y, x): export the image without its other dimensions"
        )
    x, y, z = (*axes, *[_Axis(1)] * (3 - len(axes)))
    thickness = find(image, _SLICE_NM)
    if isinstance(thickness, Placed):  # some versions note numbers as text
        thickness = _number(thickness.text)
    return z if z.nm else z._replace(nm=in_nm(thickness, "nm")), y, x


def _calibrated(image: Tag, number: int, voxels: int) -> _Axis:
    calibration = find(image, f"ImageData/Calibrations/Dimension/{number}")
    scale, units, origin = (find(calibration, name) for name in ("Scale", "Units", "Origin"))
    nm = in_nm(scale, units.text.strip("\0")) if isinstance(units, Placed) else None
    # half a voxel tells centres from corners, as new files have it everywhere; it is no place
    if not isinstance(origin, int | float) or abs(origin) <= 0.5:
        origin = 0.0
    return _Axis(voxels, nm, float(origin))


def _number(text: str) -> float | None:
    try:
        return float(text.strip("\0 "))
    except ValueError:
        return None


def _stored(url: str, image: Tag) -> str:
    """numpy's name of the voxel type, without byte order."""
    code = find(image, "ImageData/DataType")
    if not isinstance(code, int) or code not in _TYPES:
        what = _NOT_GREY.get(code if isinstance(code, int) else 0, f"of data type {code}")
        raise IngestError(
            f"{url} holds an image that is {what}; expected grey values: whole or real numbers"
        )
    return _TYPES[code]
