"""Fewer triangles, within a stated distance: libigl collapses edges, the distance is measured.

libigl's `qslim` (Garland and Heckbert 1997) takes a number of triangles. It keeps closed what is
closed, and the same mesh always gives the same one. How far it moved the surface it does not say.
So the mesh is reduced step by step, as long as no vertex of the full mesh is farther from the
reduced one than the error, nor a vertex of the reduced one from the full mesh.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from volproc.errors import INSTALL, ConfigError
from volproc.stages.measure.mesh.triangle_mesh import Mesh, used_vertices

SHARES = (0.5, 0.7)
"""Triangles that a step leaves: half as long as that is near enough, then by smaller steps."""
STUCK = 0.95
"""A step that leaves more than this is the last: a tetrahedron cannot lose a triangle."""


def simplify(mesh: Mesh, *, error_nm: float) -> Mesh:
    """The mesh with fewer triangles; vertices of either are within `error_nm` of the other.

    Places within triangles are not measured. `error_nm` 0 leaves the mesh alone.
    """
    if not error_nm or not len(mesh.triangles):
        return mesh
    fewer = mesh
    for share in SHARES:
        while (reduced := _reduced(fewer, share)) and _is_near(reduced, mesh, error_nm):
            fewer = reduced
    return fewer


def require_libigl() -> None:
    """ConfigError, with what to install, if libigl is missing."""
    try:
        _libigl()
    except ImportError as error:
        raise ConfigError(
            f"simplifying meshes needs libigl: {INSTALL.format('mesh')}, or take mesh_error_nm = "
            "0 ([measure]), which leaves them as they are"
        ) from error


def _libigl() -> Any:
    # it would start a thread per core of the machine, in every worker
    os.environ.setdefault("IGL_NUM_THREADS", "1")
    import igl

    return igl


def _reduced(mesh: Mesh, share: float) -> Mesh | None:
    """The mesh with that share of its triangles; None if few or none can be spared."""
    count = len(mesh.triangles)
    vertices, triangles, *_ = _libigl().qslim(mesh.vertices, mesh.triangles, int(count * share))
    reduced = used_vertices(np.ascontiguousarray(vertices), triangles)
    return reduced if len(reduced.triangles) <= STUCK * count else None


def _is_near(mesh: Mesh, other: Mesh, error_nm: float) -> bool:
    return _within(mesh, other, error_nm) and _within(other, mesh, error_nm)


def _within(mesh: Mesh, other: Mesh, error_nm: float) -> bool:
    """Whether no vertex of `other` is farther than the error from the triangles of `mesh`."""
    squares, *_ = _libigl().point_mesh_squared_distance(
        other.vertices, mesh.vertices, mesh.triangles.astype(np.int64)
    )
    return bool(squares.max() <= error_nm**2)
