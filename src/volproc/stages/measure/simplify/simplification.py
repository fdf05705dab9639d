"""Fewer triangles, within a stated distance: edges are collapsed, the least costly first.

Cost and place of a collapse come from quadrics (Garland and Heckbert 1997), weighted by area. What
is stated is kept by measuring, not by cost: every vertex of the mesh as it came stays with a
triangle near it, and a collapse after which one of them would be further from its triangles than
the error is not done. The other way the distance is only estimated: triangles are held near the
planes at the nearest vertices of the mesh as it came, and may pass a little further from it. A
closed mesh stays closed: a collapse that would pinch it is not done either (the link condition),
nor one that would turn a triangle over. Faster simplifiers keep neither a distance nor what is
closed (benchmarks/measure_cost.py).
"""

from __future__ import annotations

import numpy as np

from volproc.stages.measure.mesh.triangle_mesh import Mesh, directed_edges
from volproc.stages.measure.simplify.collapse_state import new_state
from volproc.stages.measure.simplify.edge_collapse import collapse_all


def simplify(mesh: Mesh, *, error_nm: float) -> Mesh:
    """The mesh with fewer triangles; no vertex of `mesh` is further than `error_nm` from it.

    The other way is no promise: middles of its triangles and their sides are as near to planes of
    `mesh` there, but places between them were seen at up to 1.4 times the error.
    Borders of an open mesh stay as they are. `error_nm` 0 leaves the mesh alone.
    """
    if not error_nm or not len(mesh.triangles):
        return mesh
    centre = mesh.vertices.mean(axis=0)  # quadrics are differences of squares: small numbers only
    places, triangles = mesh.vertices - centre, mesh.triangles.copy()
    state = new_state(places, triangles, _on_border(mesh))
    collapse_all(state, error_nm)
    left = triangles[triangles[:, 0] >= 0]
    used, which = np.unique(left, return_inverse=True)
    return Mesh(places[used] + centre, which.reshape(-1, 3).astype(np.int32))


def _on_border(mesh: Mesh) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Vertices on an edge that only one triangle has."""
    fixed = np.zeros(len(mesh.vertices), dtype=bool)
    if mesh.is_closed:
        return fixed
    back = directed_edges(mesh.triangles[:, ::-1])
    alone = directed_edges(mesh.triangles)
    alone = alone[~np.isin(alone, back)]
    fixed[alone >> 32] = True
    fixed[alone & 0xFFFFFFFF] = True
    return fixed
