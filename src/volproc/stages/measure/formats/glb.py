"""GLB: binary glTF 2.0 with one mesh, as browsers, Blender and office programs open it."""

from __future__ import annotations

import json
import struct

from volproc import __version__
from volproc.stages.measure.mesh.triangle_mesh import Mesh

FLOAT, UNSIGNED_INT = 5126, 5125
VERTICES, INDICES = 34962, 34963
UM = 1e-3


def to_glb(mesh: Mesh, *, name: str) -> bytes:
    """The content of a .glb file. Vertices are x, y, z in nm; its one node scales them to µm."""
    positions = mesh.xyz.astype("<f4")
    indices = mesh.triangles.astype("<u4")
    body = positions.tobytes() + indices.tobytes()
    split = positions.nbytes
    described = {
        "asset": {"version": "2.0", "generator": f"volproc {__version__}"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name, "scale": [UM, UM, UM]}],
        "meshes": [{"name": name, "primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": FLOAT,
                "count": len(positions),
                "type": "VEC3",
                "min": [float(n) for n in positions.min(axis=0)],
                "max": [float(n) for n in positions.max(axis=0)],
            },
            {
                "bufferView": 1,
                "componentType": UNSIGNED_INT,
                "count": indices.size,
                "type": "SCALAR",
            },
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": split, "target": VERTICES},
            {"buffer": 0, "byteOffset": split, "byteLength": indices.nbytes, "target": INDICES},
        ],
        "buffers": [{"byteLength": len(body)}],
    }
    text = json.dumps(described).encode()
    text += b" " * (-len(text) % 4)
    chunks = _chunk(b"JSON", text) + _chunk(b"BIN\0", body)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack("<I4s", len(content), kind) + content
