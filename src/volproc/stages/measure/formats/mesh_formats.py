"""The files of a mesh in each format: PLY and OBJ here, the longer ones in files of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import StringIO

import numpy as np

from volproc.stages.measure.formats.glb import to_glb
from volproc.stages.measure.formats.precomputed import (
    multiresolution_files,
    multiresolution_index,
    require_draco,
)
from volproc.stages.measure.mesh.simplification import require_libigl
from volproc.stages.measure.mesh.triangle_mesh import Mesh
from volproc.stages.measure.options import MeshFormat
from volproc.volume.metadata import PositionNm

NAMES = re.compile(r"\d+(\.(ply|obj|glb|index|mesh)|:0)?|info|segment_properties")
"""What the files of meshes are called in all formats, those of earlier releases included."""
HALF_WRITTEN = re.compile(rf"({NAMES.pattern})\.[0-9a-f]{{32}}\.partial")
"""What a kill may leave of one."""

_FACE = np.dtype([("count", "u1"), ("corners", "<i4", 3)])


def require_format(kind: MeshFormat, *, error_nm: float) -> None:
    """ConfigError if a package is missing that simplifies meshes or writes `kind`."""
    if kind == "precomputed":
        require_draco()
    if error_nm or kind == "precomputed":  # coarser levels are simplified meshes
        require_libigl()


def mesh_files(
    kind: MeshFormat, identifier: int, mesh: Mesh, *, error_nm: float, corner_nm: PositionNm
) -> dict[str, bytes]:
    """Names and contents of an object's files; `corner_nm` is the labels' (`VolumeInfo`)."""
    match kind:
        case "ply":
            return {f"{identifier}.ply": to_ply(mesh)}
        case "obj":
            return {f"{identifier}.obj": to_obj(mesh, name=str(identifier))}
        case "glb":
            return {f"{identifier}.glb": to_glb(mesh, name=str(identifier))}
        case "precomputed":
            return multiresolution_files(identifier, mesh, error_nm=error_nm)


def index_files(
    kind: MeshFormat,
    ids: Sequence[int],
    numbers: dict[str, Sequence[float]],
    *,
    corner_nm: PositionNm,
) -> dict[str, bytes]:
    """Files about all meshes together; `numbers` are columns, a value for each of `ids`."""
    if kind == "precomputed":
        return multiresolution_index(ids, numbers, corner_nm=corner_nm)
    return {}


def to_ply(mesh: Mesh) -> bytes:
    """The content of a binary .ply file (Turk 1994); x, y, z in nm."""
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment x y z in nm\n"
        f"element vertex {len(mesh.vertices)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        f"element face {len(mesh.triangles)}\n"
        "property list uchar int vertex_indices\nend_header\n"
    )
    faces = np.empty(len(mesh.triangles), dtype=_FACE)
    faces["count"], faces["corners"] = 3, mesh.triangles
    return header.encode() + mesh.xyz.astype("<f4").tobytes() + faces.tobytes()


def to_obj(mesh: Mesh, *, name: str) -> bytes:
    """The content of an .obj file with one object; x, y, z in nm."""
    text = StringIO()
    text.write(f"# x y z in nm\no {name}\n")
    np.savetxt(text, mesh.xyz, fmt="v %.2f %.2f %.2f")
    np.savetxt(text, mesh.triangles + 1, fmt="f %d %d %d")
    return text.getvalue().encode()
