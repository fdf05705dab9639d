"""PLY: the vertices and triangles of a mesh, binary (Turk 1994)."""

from __future__ import annotations

import numpy as np

from volproc.stages.measure.mesh.triangle_mesh import Mesh

_FACE = np.dtype([("count", "u1"), ("corners", "<i4", 3)])


def to_ply(mesh: Mesh) -> bytes:
    """The content of a .ply file; x, y, z in nm."""
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
