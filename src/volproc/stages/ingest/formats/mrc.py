"""MRC files (.mrc .rec .map .st .ali, also gzipped): MRC2014, IMOD's, and older ones.

After https://www.ccpem.ac.uk/mrc-format/mrc2014 and
https://bio3d.colorado.edu/imod/doc/mrc_format.txt:

- Byte order: what the machine stamp states if the sizes make sense that way, else the other one.
- Mode 0: IMOD's stamp and flag say whether bytes are signed. Without the stamp they are signed,
  as MRC2014 has it, unless the header's own minimum and maximum (0 or more, and above 127) can
  only be those of unsigned bytes.
- Half bytes: mode 101, or mode 0 with IMOD's flag 16, where the header counts bytes.
- Axes: columns, rows and sections are turned to x, y and z where mapc, mapr, maps say otherwise.
- Voxel size: cell / sampling of each axis; an image stack (one section sampled, space group 0)
  states none along z. Exactly 1 x 1 x 1 Å is what many programs write for "not known", and counts
  as that; so does a size of zero.
- Position: the origin in Å, or, where that is 0, the start in voxels. Files by IMOD have the origin
  with the other sign, unless they say otherwise; files without "MAP " have other things there.
"""

from __future__ import annotations

import gzip
import math
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import IngestError
from volproc.grid.box import Shape, each
from volproc.grid.units import in_nm, typed
from volproc.stages.ingest.formats.raw import is_gzip, raw_planes
from volproc.stages.ingest.formats.views import Nibbles, turned
from volproc.stages.ingest.voxel_source import Calibration, Source, opened, reading, stamp

_BYTES = 1024
_FIELDS = {
    "sizes": (0, "3i4"),
    "mode": (12, "i4"),
    "start": (16, "3i4"),
    "sampling": (28, "3i4"),
    "cell": (40, "3f4"),
    "angles": (52, "3f4"),
    "axes": (64, "3i4"),
    "lowest": (76, "f4"),
    "highest": (80, "f4"),
    "space_group": (88, "i4"),
    "extended": (92, "i4"),
    "version": (108, "i4"),
    "imod_stamp": (152, "i4"),
    "imod_flags": (156, "i4"),
    "origin": (196, "3f4"),
    "map": (208, "S3"),
}
_HEADER = np.dtype(
    {
        "names": list(_FIELDS),
        "offsets": [offset for offset, _ in _FIELDS.values()],
        "formats": [kind for _, kind in _FIELDS.values()],
        "itemsize": _BYTES,
    }
)
_HEADERS = {"<": _HEADER.newbyteorder("<"), ">": _HEADER.newbyteorder(">")}
_BIG_ENDIAN = 0x11
_PACKED = 101
_TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2", _PACKED: "u1"}
_NOT_GREY = {3: "complex", 4: "complex", 16: "RGB"}
_IMOD = 1146047817
_SIGNED_BYTES, _MRC2014_ORIGIN, _HALF_BYTES = 1, 4, 16
"""IMOD's flags."""
_MRC2014 = range(20140, 20300)
"""Versions of the header since that standard."""


def is_mrc(head: bytes) -> bool:
    """Whether a file that begins like this says so; files from before 2000 do not say it."""
    return head[208:211] == b"MAP"


def open_mrc(url: str) -> Source:
    """The volume or image stack of an MRC file; IngestError for complex numbers and colour."""
    with reading(url):
        with opened(url) as file:
            head = file.read(_BYTES)
            zipped = is_gzip(head)
            if zipped:
                file.seek(0)
                with gzip.GzipFile(fileobj=file) as stream:
                    head = stream.read(_BYTES)
        header, order = _header(head)
        x, y, z = header["sizes"].tolist()
        _refuse_slanted(url, header)
        axes = _axes(url, header)
        halves = int(header["mode"]) == _PACKED
        width = 2 * x if _counts_bytes(header) else x
        offset = _BYTES + int(header["extended"])
        planes: Source = raw_planes(
            url,
            offsets=(offset,),
            stored=order + _stored(url, header),
            shape=(z, y, -(-x // 2) if halves else x),
            stated=_stated(header, axes),
            identity=(stamp(url),),
            zipped=zipped,
        )
        packed = halves or width > x
        inside = Nibbles.of(planes, shape=(z, y, width)) if packed else planes
        return turned(inside, axes)


def _header(head: bytes) -> tuple[npt.NDArray[Any], str]:
    """The fields, and the byte order in which they make sense."""
    head_bytes = head.ljust(_BYTES, b"\0")
    big = head_bytes[212] == _BIG_ENDIAN
    for order, kind in sorted(_HEADERS.items(), reverse=big):
        header = np.frombuffer(head_bytes, kind)[0]
        if len(head) == _BYTES and _sensible(header):
            return header, order
    raise ValueError(f"its first {len(head)} bytes are not the header of an MRC file")


def _sensible(header: npt.NDArray[Any]) -> bool:
    sizes, axes = header["sizes"], header["axes"]
    return bool(
        0 < sizes.min() <= sizes.max() < 2**24
        and 0 <= axes.min() <= axes.max() <= 3
        and 0 <= header["mode"] < 1024
        and header["extended"] >= 0
    )


def _stored(url: str, header: npt.NDArray[Any]) -> str:
    """numpy's name of the voxel type, without byte order."""
    mode = int(header["mode"])
    if mode not in _TYPES:
        what = _NOT_GREY.get(mode, "unknown")
        raise IngestError(
            f"{url} holds voxels of mode {mode} ({what}); expected grey values: mode 0, 1, 2, 6, "
            "12 or 101"
        )
    if mode != 0:
        return _TYPES[mode]
    if _counts_bytes(header):
        if header["imod_flags"] & _SIGNED_BYTES:
            raise IngestError(
                f"{url} states half bytes in signed bytes, which do not exist; write it again "
                "with IMOD's newstack -mode 0"
            )
        return "u1"
    if header["imod_stamp"] == _IMOD:
        return "i1" if header["imod_flags"] & _SIGNED_BYTES else "u1"
    return "u1" if header["lowest"] >= 0 and 127 < header["highest"] <= 255 else "i1"


def _counts_bytes(header: npt.NDArray[Any]) -> bool:
    """Whether its bytes hold two voxels each, as IMOD's flag says, and its columns are bytes."""
    ours = header["mode"] == 0 and header["imod_stamp"] == _IMOD
    return bool(ours and header["imod_flags"] & _HALF_BYTES)


def _refuse_slanted(url: str, header: npt.NDArray[Any]) -> None:
    """IngestError for a cell, as of a crystal, whose axes are not at right angles."""
    angles = [typed(angle) for angle in header["angles"]]
    # many programs leave them out
    if any(0 < angle < 180 and not math.isclose(angle, 90, abs_tol=0.1) for angle in angles):
        said = ", ".join(f"{angle:g}" for angle in angles)
        raise IngestError(
            f"{url} has a cell with angles of {said} degrees, and a volume has right ones; "
            "resample it to a cell of 90 degrees first (gemmi, ChimeraX)"
        )


def _axes(url: str, header: npt.NDArray[Any]) -> Shape:
    """Where z, y and x are among (section, row, column)."""
    names = tuple(header["axes"].tolist())
    names = (1, 2, 3) if names == (0, 0, 0) else names  # old files leave them out
    if names not in permutations((1, 2, 3)):
        raise IngestError(
            f"{url} calls its columns, rows and sections axes {names}; expected 1, 2 and 3 "
            "(x, y and z) in some order"
        )
    slowest_first = names[::-1]
    return each(slowest_first.index, (3, 2, 1))


def _stated(header: npt.NDArray[Any], axes: Shape) -> Calibration:
    """Voxel size and position. Cell, sampling and origin are of x, y and z, whatever the axes are;
    sizes and start are of columns, rows and sections.
    """
    pairs = zip(header["cell"], header["sampling"].tolist(), strict=True)
    sizes = [typed(cell) / count if count > 0 else 0.0 for cell, count in pairs]
    known = not all(math.isclose(size, 1, rel_tol=1e-6) for size in sizes)
    x, y, z = (in_nm(size / 10, "nm") if known else None for size in sizes)
    columns, _, sections = header["sizes"].tolist()
    if header["space_group"] == 0 and header["sampling"].tolist()[::2] == [columns, 1]:
        z = z if sections == 1 else None
    origin = [typed(n) / 10 for n in header["origin"]] if header["map"] == b"MAP" else []
    if not any(origin):
        start = header["start"].tolist()[::-1]
        return Calibration((z, y, x), each(lambda axis: start[axis], axes), in_voxels=True)
    flags = int(header["imod_flags"]) if header["imod_stamp"] == _IMOD else _MRC2014_ORIGIN
    standard = flags & _MRC2014_ORIGIN or int(header["version"]) in _MRC2014
    # IMOD's own origin is the place of 0, seen from the first voxel
    return Calibration((z, y, x), each(lambda n: n if standard else -n, origin[::-1]))
