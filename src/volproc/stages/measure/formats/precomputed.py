"""Neuroglancer's precomputed meshes: each object at several levels of detail, cut into fragments.

The viewer loads a fragment when the camera comes near it.

    level 0    +--+--+--+--+    the finest: cells of `chunk_shape`, a fragment in each
               +--+--+--+--+
    level 1    +-----+-----+    coarser triangles in cells twice as wide; no triangle crosses the
               +--+--+--+--+    planes of level 0 either, so half a cell can show the finer level

Draco compresses each fragment; its vertices are integers within its cell. After the specification
(google/neuroglancer, src/datasource/precomputed/meshes.md and segment_properties.md). The meshes
are placed where the labels' metadata put the volume, unlike those of other formats, which count
from its corner: neuroglancer then draws them over the labels.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import INSTALL, ConfigError
from volproc.stages.measure.formats.grid_cut import cut_at_grid
from volproc.stages.measure.mesh.isosurface import Indices
from volproc.stages.measure.mesh.simplification import simplify
from volproc.stages.measure.mesh.triangle_mesh import Mesh, Positions
from volproc.volume.metadata import PositionNm

QUANTIZATION_BITS = 16
MAX_WHOLE = 2**QUANTIZATION_BITS - 1
COARSER = 4
"""Each level's error is so many times that of the level before; it has about as many fewer
triangles."""
SMALL = 4000
"""A level with so few triangles is the last."""
MAX_LEVELS = 6
PIXELS = 10
"""Neuroglancer takes a level whose scale is about so many pixels; its error is then one pixel."""

PROPERTIES = "segment_properties"

Cell = tuple[int, int, int]
"""x, y, z among the cells of a level."""


@dataclass(frozen=True)
class Fragments:
    """A level's fragments, compressed, by cell; empty ones where only finer levels have any."""

    cells: list[Cell]
    contents: list[bytes]


def require_draco() -> None:
    """ConfigError, with what to install, if Draco is missing."""
    try:
        import DracoPy  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"precomputed meshes need Draco: {INSTALL.format('mesh')}, or take another format, "
            "such as meshes = glb"
        ) from error


def multiresolution_files(identifier: int, mesh: Mesh, *, error_nm: float) -> dict[str, bytes]:
    """Manifest and fragments of one object; `error_nm` is the error that `mesh` has already."""
    levels = levels_of_detail(mesh, error_nm=error_nm)
    lowest, highest = mesh.xyz.min(axis=0), mesh.xyz.max(axis=0)
    origin = np.nextafter(lowest.astype(np.float32), np.float32(-np.inf))
    size = (highest - origin) / 2 ** (len(levels) - 1)
    cell = np.nextafter(np.maximum(size, 1e-3).astype(np.float32), np.float32(np.inf))
    found: list[Fragments] = []
    for number, level in enumerate(levels):
        finer = found[-1].cells if found else []
        found.append(fragments_of(level, number, origin.astype(float), cell.astype(float), finer))
    scales = [PIXELS * error_nm * COARSER**number for number in range(len(levels))]
    return {
        f"{identifier}.index": _manifest(origin, cell, scales, found),
        f"{identifier}": b"".join(content for level in found for content in level.contents),
    }


def multiresolution_index(
    ids: Sequence[int], numbers: dict[str, Sequence[float]], *, corner_nm: PositionNm
) -> dict[str, bytes]:
    """What says that a folder holds such meshes, and of which objects.

    Its transform moves meshes to the place of the labels.
    """
    z, y, x = corner_nm
    info = {
        "@type": "neuroglancer_multilod_draco",
        "vertex_quantization_bits": QUANTIZATION_BITS,
        "transform": [1, 0, 0, x, 0, 1, 0, y, 0, 0, 1, z],
        "lod_scale_multiplier": 1,
        "segment_properties": PROPERTIES,
    }
    return {"info": json.dumps(info).encode(), **_properties(ids, numbers)}


def levels_of_detail(mesh: Mesh, *, error_nm: float) -> list[Mesh]:
    """The mesh, and coarser ones until one is small; each is within its error of the one before."""
    levels = [mesh]
    while len(levels[-1].triangles) > SMALL and len(levels) < MAX_LEVELS:
        levels.append(simplify(levels[-1], error_nm=error_nm * COARSER ** len(levels)))
    return levels


def fragments_of(
    mesh: Mesh, level: int, origin: Positions, finest: Positions, finer: list[Cell]
) -> Fragments:
    """The mesh of a level in fragments, and an empty one above each of the `finer` level's cells.

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
    return Fragments(cells, contents)


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
    whole = np.floor((mesh.xyz[used] - corner) / size * MAX_WHOLE + 0.5).clip(0, MAX_WHOLE)
    # with this range Draco's own quantization leaves whole numbers as they are
    content: bytes = DracoPy.encode(
        whole.astype(np.float32),
        which.reshape(-1, 3).astype(np.uint32),
        quantization_bits=QUANTIZATION_BITS,
        quantization_range=MAX_WHOLE,
        quantization_origin=np.zeros(3),
        compression_level=7,
    )
    return content


def _manifest(
    origin: Positions, cell: Positions, scales: list[float], levels: list[Fragments]
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


def _properties(ids: Sequence[int], numbers: dict[str, Sequence[float]]) -> dict[str, bytes]:
    """The list of objects, by which neuroglancer finds, sorts and shows them."""
    columns: list[dict[str, Any]] = [
        {"id": name, "type": "number", "data_type": "float32", "values": list(values)}
        for name, values in numbers.items()
    ]
    inline = {"ids": [str(identifier) for identifier in ids], "properties": columns}
    listed = {"@type": "neuroglancer_segment_properties", "inline": inline}
    return {f"{PROPERTIES}/info": json.dumps(listed).encode()}
