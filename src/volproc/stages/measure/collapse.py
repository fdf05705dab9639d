"""Collapsing edges of a mesh, compiled. See simplify.py for what is kept."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from volproc.stages.measure.quadrics import (
    PREPARED,
    TERMS,
    Floats,
    add_plane,
    best_place,
    normal,
    prepare,
    squared_distance,
)
from volproc.stages.measure.surface import Indices

MOST_AROUND = 40
"""Triangles around a vertex; a collapse that would make more is not done."""
MOST_HELD = 4096
"""Vertices as they came that one collapse may have to measure."""
LEAST_COSINE = 0.2
"""Between a triangle's normals before and after."""
OFF_PLANES = 0.5
"""A new vertex is off the planes it stands for by this share of the error, root mean square: then
it is within the error of the mesh as it came (1.1 times at most, of all that was tried)."""


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
    changes: Indices
    """How often each vertex was changed: what the heap knows of it before is void."""
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
    quadrics = np.zeros((n, TERMS))
    _add_planes(places, triangles, quadrics)
    return State(
        places,
        places.copy(),
        triangles,
        first,
        following,
        quadrics,
        np.zeros(n, dtype=np.int32),
        fixed,
        np.full(m, -1, dtype=np.int32),
        np.full(n, -2, dtype=np.int32),
    )


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_planes(places: Floats, triangles: Indices, quadrics: Floats) -> None:
    n = np.empty(3)
    for t in range(len(triangles)):
        a = places[triangles[t, 0]]
        length = normal(a, places[triangles[t, 1]], places[triangles[t, 2]], n)
        for corner in range(3):
            add_plane(a, n, length, quadrics[triangles[t, corner]])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def collapse_all(state: State, error: float) -> None:
    """Collapse edges, least costly first, as long as the mesh stays within `error`."""
    around = np.empty((3, MOST_AROUND), dtype=np.int32)
    buffers = np.empty((2, MOST_HELD), dtype=np.int32)
    prepared = np.empty((MOST_AROUND, PREPARED))
    place, quadric = np.empty(3), np.empty(TERMS)
    highest = (OFF_PLANES * error) ** 2
    heap = [(0.0, np.int32(-1), np.int32(-1), np.int32(0), np.int32(0))]
    for t in range(len(state.triangles)):
        for corner in range(3):
            u, v = state.triangles[t, corner], state.triangles[t, (corner + 1) % 3]
            if u < v:
                cost = _cost(state, u, v, place, quadric)
                if cost <= highest and not (state.fixed[u] or state.fixed[v]):
                    heap.append((cost, u, v, state.changes[u], state.changes[v]))
    heapify(heap)
    while heap:
        _, u, v, old_u, old_v = heappop(heap)
        if u < 0 or state.changes[u] != old_u or state.changes[v] != old_v:
            continue
        _cost(state, u, v, place, quadric)
        if not _try(state, u, v, place, error, around, buffers, prepared):
            continue
        state.quadrics[v] = quadric
        count = _triangles_of(state, v, around[0])
        for t in around[0, :count]:
            w = _after(state.triangles, t, v)
            cost = _cost(state, w, v, place, quadric)
            if cost <= highest and not state.fixed[w]:
                heappush(heap, (cost, w, v, state.changes[w], state.changes[v]))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _cost(state: State, u: int, v: int, place: Floats, quadric: Floats) -> float:
    """Mean squared distance after u and v became one; their place and quadric."""
    for i in range(TERMS):
        quadric[i] = state.quadrics[u, i] + state.quadrics[v, i]
    middle = (state.places[u] + state.places[v]) / 2
    return float(best_place(quadric, middle, place))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _triangles_of(state: State, vertex: int, out: Indices) -> int:
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


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _has(triangles: Indices, triangle: int, vertex: int) -> bool:
    a, b, c = triangles[triangle, 0], triangles[triangle, 1], triangles[triangle, 2]
    return bool(a == vertex or b == vertex or c == vertex)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _after(triangles: Indices, triangle: int, vertex: int) -> int:
    """The corner after a vertex: all its triangles give each of its neighbours once."""
    if triangles[triangle, 0] == vertex:
        return int(triangles[triangle, 1])
    return int(triangles[triangle, 2 if triangles[triangle, 1] == vertex else 0])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _try(
    state: State,
    u: int,
    v: int,
    place: Floats,
    error: float,
    around: Indices,
    buffers: Indices,
    prepared: Floats,
) -> bool:
    """Make u and v one vertex v at `place`, unless that breaks a rule."""
    of_u, of_v, ring = around[0], around[1], around[2]
    count_u, count_v = _triangles_of(state, u, of_u), _triangles_of(state, v, of_v)
    if count_u < 0 or count_v < 0 or count_u + count_v - 4 > MOST_AROUND:
        return False
    if not _link_holds(state, u, v, of_u[:count_u], of_v[:count_v]):
        return False
    count = 0
    for t in of_u[:count_u]:
        if not _has(state.triangles, t, v):
            ring[count] = t
            count += 1
    for t in of_v[:count_v]:
        if not _has(state.triangles, t, u):
            ring[count] = t
            count += 1
    if _turns_over(state, u, v, place, ring[:count]):
        return False
    held, nearest = buffers[0], buffers[1]
    measured = _gather_held(state, u, v, of_u[:count_u], of_v[:count_v], held)
    if measured < 0:
        return False
    for i in range(count):
        prepare(
            _moved(state, ring[i], 0, u, v, place),
            _moved(state, ring[i], 1, u, v, place),
            _moved(state, ring[i], 2, u, v, place),
            prepared[i],
        )
    if not _within(state, prepared, ring[:count], held[:measured], nearest, error):
        return False
    _join(state, u, v, place, ring[:count], of_u[:count_u])
    for t in ring[:count]:
        state.held[t] = -1
    for i in range(measured):
        state.next_held[held[i]] = state.held[nearest[i]]
        state.held[nearest[i]] = held[i]
    return True


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _link_holds(state: State, u: int, v: int, of_u: Indices, of_v: Indices) -> bool:
    """Whether u and v have two neighbours in common, those across their edge, and no more."""
    shared = 0
    for t in of_u:
        w = _after(state.triangles, t, u)
        if w != v and _is_around(state.triangles, w, of_v):
            shared += 1
            if _valence_is_three(state, w):
                return False
    return shared == 2


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _is_around(triangles: Indices, vertex: int, around: Indices) -> bool:
    found = False
    for t in around:
        found |= _has(triangles, t, vertex)
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _valence_is_three(state: State, vertex: int) -> bool:
    count = 0
    corner = state.first[vertex]
    while corner >= 0 and count < 4:
        count += state.triangles[corner // 3, 0] >= 0
        corner = state.following[corner]
    return count < 4


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _moved(state: State, t: int, corner: int, u: int, v: int, place: Floats) -> Floats:
    """Where a corner of a triangle would be after the collapse."""
    vertex = state.triangles[t, corner]
    return place if vertex in (u, v) else state.places[vertex]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _turns_over(state: State, u: int, v: int, place: Floats, ring: Indices) -> bool:
    before, after = np.empty(3), np.empty(3)
    for t in ring:
        a, b, c = state.triangles[t]
        old = normal(state.places[a], state.places[b], state.places[c], before)
        new = normal(
            _moved(state, t, 0, u, v, place),
            _moved(state, t, 1, u, v, place),
            _moved(state, t, 2, u, v, place),
            after,
        )
        along = before[0] * after[0] + before[1] * after[1] + before[2] * after[2]
        if along <= LEAST_COSINE * old * new:
            return True
    return False


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _gather_held(state: State, u: int, v: int, of_u: Indices, of_v: Indices, held: Indices) -> int:
    """What the triangles around u and v hold, and u and v themselves; -1 if it is too much."""
    count = 0
    for triangles in (of_u, of_v):
        for t in triangles:
            if triangles is of_v and _has(state.triangles, t, u):
                continue
            p = state.held[t]
            while p >= 0:
                if count >= MOST_HELD - 2:
                    return -1
                held[count] = p
                count += 1
                p = state.next_held[p]
    for vertex in (u, v):
        if state.next_held[vertex] == -2:
            held[count] = vertex
            count += 1
    return count


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _within(
    state: State, prepared: Floats, ring: Indices, held: Indices, nearest: Indices, error: float
) -> bool:
    """Whether all that is held stays within `error`; a triangle that is so near to each."""
    for i in range(len(held)):
        p = held[i]
        x, y, z = state.came[p, 0], state.came[p, 1], state.came[p, 2]
        best = np.inf
        for j in range(len(ring)):
            far, above = squared_distance(x, y, z, prepared, j)
            if far < best:
                best = far
                nearest[i] = ring[j]
            if above and far <= error * error:
                nearest[i] = ring[j]
                break
        if best > error * error:
            return False
    return True


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _join(state: State, u: int, v: int, place: Floats, ring: Indices, of_u: Indices) -> None:
    """Make u and v one: v, with the triangles of `ring` around it."""
    for t in of_u:
        if _has(state.triangles, t, v):
            state.triangles[t, 0] = -1
    state.places[v] = place
    state.first[v] = -1
    for t in ring:
        for corner in range(3):
            if state.triangles[t, corner] in (u, v):
                state.triangles[t, corner] = v
                state.following[3 * t + corner] = state.first[v]
                state.first[v] = 3 * t + corner
    state.first[u] = -1
    state.changes[u] += 1
    state.changes[v] += 1
