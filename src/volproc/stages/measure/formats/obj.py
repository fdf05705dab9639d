"""Wavefront OBJ: a mesh as text."""

from __future__ import annotations

from io import StringIO

import numpy as np

from volproc.stages.measure.mesh.triangle_mesh import Mesh


def to_obj(mesh: Mesh, *, name: str) -> bytes:
    """The content of an .obj file with one object; x, y, z in nm."""
    text = StringIO()
    text.write(f"# x y z in nm\no {name}\n")
    np.savetxt(text, mesh.xyz, fmt="v %.2f %.2f %.2f")
    np.savetxt(text, mesh.triangles + 1, fmt="f %d %d %d")
    return text.getvalue().encode()
