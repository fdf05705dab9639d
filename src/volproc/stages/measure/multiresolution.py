"""One mesh at several levels of detail, in pieces that neuroglancer loads as it comes near.

    level 0    +--+--+--+--+    the finest: cells of `chunk_shape`
               +--+--+--+--+
    level 1    +-----+-----+    coarser triangles, cells twice as wide; no triangle crosses the
               +--+--+--+--+    planes of level 0 either, so that half a cell can be replaced

Every piece is compressed by Draco, its vertices whole numbers within its cell.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from volproc.errors import INSTALL, ConfigError
from volproc.stages.measure.cutting import cut_at_grid
from volproc.stages.measure.mesh import Mesh, Positions
from volproc.stages.measure.simplify import simplify
from volproc.stages.measure.surface import Indices

QUANTIZATION_BITS = 16
LARGEST = 2**QUANTIZATION_BITS - 1
COARSER = 4
"""Each level's error is so many times that of the level before; it has about as many fewer
triangles."""
SMALL = 4000
"""A level with so few triangles is the last."""
MOST_LEVELS = 6
PIXELS = 10
"""Neuroglancer takes a level whose scale is about so many pixels; its error is then one pixel."""

Cell = tuple[int, int, int]
"""x, y, z among the cells of a level."""


@dataclass(frozen=True)
class Pieces:
    """A level's pieces, compressed, by their cells; empty ones where only finer levels have any."""

    cells: list[Cell]
    contents: list[bytes]


def require_draco() -> None:
    """ConfigError, with what to install, if Draco is missing."""
    try:
        import DracoPy  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"meshes at several levels of detail need Draco: {INSTALL.format('mesh')}, or take "
            "meshes = precomputed-legacy"
        ) from error


def multiresolution_files(identifier: int, mesh: Mesh, *, error_nm: float) -> dict[str, bytes]:
    """Manifest and pieces of one object; `error_nm` is what `mesh` may be off already."""
    levels = levels_of_detail(mesh, error_nm=error_nm)
    lowest, highest = mesh.xyz.min(axis=0), mesh.xyz.max(axis=0)
    origin = np.nextafter(lowest.astype(np.float32), np.float32(-np.inf))
    size = (highest - origin) / 2 ** (len(levels) - 1)
    cell = np.nextafter(np.maximum(size, 1e-3).astype(np.float32), np.float32(np.inf))
    found: list[Pieces] = []
    for number, level in enumerate(levels):
        finer = found[-1].cells if found else []
        found.append(pieces_of(level, number, origin.astype(float), cell.astype(float), finer))
    scales = [PIXELS * error_nm * COARSER**number for number in range(len(levels))]
    return {
        f"{identifier}.index": _manifest(origin, cell, scales, found),
        f"{identifier}": b"".join(content for pieces in found for content in pieces.contents),
    }


def levels_of_detail(mesh: Mesh, *, error_nm: float) -> list[Mesh]:
    """The mesh, and coarser ones until one is small; each is within its error of the one before."""
    levels = [mesh]
    while len(levels[-1].triangles) > SMALL and len(levels) < MOST_LEVELS:
        levels.append(simplify(levels[-1], error_nm=error_nm * COARSER ** len(levels)))
    return levels


def pieces_of(
    mesh: Mesh, level: int, origin: Positions, finest: Positions, finer: list[Cell]
) -> Pieces:
    """The mesh of a level in pieces, and an empty one above each of the `finer` level's cells.

    Cells of level 0 are as large as `finest`, and counted from `origin`.
    """
    width = 2**level
    extent = mesh.xyz.max(axis=0) - origin
    counts = np.maximum(1, np.ceil(extent / finest - 1e-9)).astype(int)
    # planes of this level's cells, and of the next finer ones, which halve them
    step = max(1, width // 2)
    planes = tuple(int(-(-n // step)) for n in counts[::-1])
    cut = cut_at_grid(mesh, origin=origin[::-1], cell=(finest * step)[::-1], counts=planes)
    middle = cut.xyz[cut.triangles].mean(axis=1)
    place = np.floor((middle - origin) / (finest * width)).astype(int)
    place = np.clip(place, 0, np.maximum(0, -(-counts // width) - 1))
    triangles = {cell: cut.triangles[rows] for cell, rows in _groups(place)}
    parents = {(x // 2, y // 2, z // 2) for x, y, z in finer}
    cells = sorted({*triangles, *parents}, key=_z_order)
    size = finest * width
    contents = [
        _encoded(cut, triangles[cell], origin + np.array(cell) * size, size)
        if cell in triangles
        else b""
        for cell in cells
    ]
    return Pieces(cells, contents)


def _groups(
    place: npt.NDArray[np.intp],
) -> Iterator[tuple[Cell, npt.NDArray[np.intp]]]:
    found, which = np.unique(place, axis=0, return_inverse=True)
    for number, (x, y, z) in enumerate(found.tolist()):
        yield (x, y, z), np.flatnonzero(which.reshape(-1) == number)


def _z_order(cell: Cell) -> int:
    """The bits of x, y and z in turn, those of x lowest.

    >>> [_z_order(cell) for cell in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 0, 0))]
    [1, 2, 4, 8]
    """
    return sum(
        (n >> bit & 1) << (3 * bit + axis) for axis, n in enumerate(cell) for bit in range(20)
    )


def _encoded(mesh: Mesh, triangles: Indices, corner: Positions, size: Positions) -> bytes:
    import DracoPy

    used, which = np.unique(triangles, return_inverse=True)
    whole = np.floor((mesh.xyz[used] - corner) / size * LARGEST + 0.5).clip(0, LARGEST)
    # with this range Draco's own quantization leaves whole numbers as they are
    content: bytes = DracoPy.encode(
        whole.astype(np.float32),
        which.reshape(-1, 3).astype(np.uint32),
        quantization_bits=QUANTIZATION_BITS,
        quantization_range=LARGEST,
        quantization_origin=np.zeros(3),
        compression_level=7,
    )
    return content


def _manifest(
    origin: Positions, cell: Positions, scales: list[float], levels: list[Pieces]
) -> bytes:
    parts = [
        cell.astype("<f4").tobytes(),
        origin.astype("<f4").tobytes(),
        struct.pack("<I", len(levels)),
        np.array(scales, dtype="<f4").tobytes(),
        np.zeros((len(levels), 3), dtype="<f4").tobytes(),
        np.array([len(level.cells) for level in levels], dtype="<u4").tobytes(),
    ]
    for level in levels:
        parts.append(np.array(level.cells, dtype="<u4").reshape(-1, 3).T.tobytes())
        parts.append(np.array([len(content) for content in level.contents], dtype="<u4").tobytes())
    return b"".join(parts)
