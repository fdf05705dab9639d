"""Collapsing edges of a mesh, compiled. See simplify.py for what is kept."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

import numpy as np
from numba import njit

from volproc.stages.measure.corners import (
    State,
    after,
    has,
    is_around,
    triangles_of,
    valence_is_three,
)
from volproc.stages.measure.quadrics import (
    PREPARED,
    TERMS,
    Floats,
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
        count = triangles_of(state, v, around[0])
        for t in around[0, :count]:
            w = after(state.triangles, t, v)
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
    count_u, count_v = triangles_of(state, u, of_u), triangles_of(state, v, of_v)
    if count_u < 0 or count_v < 0 or count_u + count_v - 4 > MOST_AROUND:
        return False
    if not _link_holds(state, u, v, of_u[:count_u], of_v[:count_v]):
        return False
    count = 0
    for t in of_u[:count_u]:
        if not has(state.triangles, t, v):
            ring[count] = t
            count += 1
    for t in of_v[:count_v]:
        if not has(state.triangles, t, u):
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
        w = after(state.triangles, t, u)
        if w != v and is_around(state.triangles, w, of_v):
            shared += 1
            if valence_is_three(state, w):
                return False
    return shared == 2


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
            if triangles is of_v and has(state.triangles, t, u):
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
        if has(state.triangles, t, v):
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
