"""A mesh whose edges are being collapsed: who is whose corner, compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.stages.measure.mesh.isosurface import Indices
from volproc.stages.measure.simplify.quadrics import TERMS, Floats, add_planes


class State(NamedTuple):
    """A mesh under work; arrays are changed in place."""

    places: Floats
    """Where the vertices are, (n, 3)."""
    came: Floats
    """Where they were at first."""
    triangles: Indices
    """Corners, (m, 3); -1 first for those that are gone."""
    first: Indices
    """The first corner (3 x triangle + 0, 1 or 2) of each vertex; -1 for those that are gone."""
    following: Indices
    """After each corner, the next one of the same vertex; -1 at the end."""
    quadrics: Floats
    normals: Floats
    """Of the surface at the vertices at first, (n, 3), of length 1."""
    changed: Indices
    """The sweep that last changed a triangle of each vertex."""
    merged: Indices
    """The sweep that last made each vertex of two."""
    fixed: npt.NDArray[np.bool_]
    held: Indices
    """The first vertex that each triangle holds, for measuring; -1 for none."""
    next_held: Indices
    """After each vertex that is held, the next one that the same triangle holds; -2: not held."""


def new_state(places: Floats, triangles: Indices, fixed: npt.NDArray[np.bool_]) -> State:
    """The state before the first collapse, over `places` and `triangles` themselves."""
    n, m = len(places), len(triangles)
    corners = np.argsort(triangles.reshape(-1), kind="stable").astype(np.int32)
    owner = triangles.reshape(-1)[corners]
    following = np.full(3 * m, -1, dtype=np.int32)
    last = np.append(owner[1:] != owner[:-1], True)
    following[corners[~last]] = corners[1:][~last[:-1]]
    first = np.full(n, -1, dtype=np.int32)
    first[owner[::-1]] = corners[::-1]
    quadrics, normals = np.zeros((n, TERMS)), np.zeros((n, 3))
    add_planes(places, triangles, quadrics, normals)
    return State(
        places,
        places.copy(),
        triangles,
        first,
        following,
        quadrics,
        normals,
        np.zeros(n, dtype=np.int32),
        np.zeros(n, dtype=np.int32),
        fixed,
        np.full(m, -1, dtype=np.int32),
        np.full(n, -2, dtype=np.int32),
    )


@compiled
def triangles_of(state: State, vertex: int, out: Indices) -> int:
    """The triangles around a vertex into `out`; how many, or -1 if they are too many."""
    count = 0
    corner = state.first[vertex]
    while corner >= 0:
        if state.triangles[corner // 3, 0] >= 0:
            if count == len(out):
                return -1
            out[count] = corner // 3
            count += 1
        corner = state.following[corner]
    return count


@compiled
def has(triangles: Indices, triangle: int, vertex: int) -> bool:
    """Whether a vertex is a corner of a triangle."""
    a, b, c = triangles[triangle, 0], triangles[triangle, 1], triangles[triangle, 2]
    return bool(a == vertex or b == vertex or c == vertex)


@compiled
def after(triangles: Indices, triangle: int, vertex: int) -> int:
    """The corner after a vertex: all its triangles give each of its neighbours once."""
    if triangles[triangle, 0] == vertex:
        return int(triangles[triangle, 1])
    return int(triangles[triangle, 2 if triangles[triangle, 1] == vertex else 0])


@compiled
def is_around(triangles: Indices, vertex: int, around: Indices, count: int) -> bool:
    """Whether a vertex is a corner of one of the first `count` triangles of `around`."""
    found = False
    for i in range(count):
        found |= has(triangles, around[i], vertex)
    return found


@compiled
def valence_is_three(state: State, vertex: int) -> bool:
    """Whether a vertex has three triangles, or fewer."""
    count = 0
    corner = state.first[vertex]
    while corner >= 0 and count < 4:
        count += state.triangles[corner // 3, 0] >= 0
        corner = state.following[corner]
    return count < 4
