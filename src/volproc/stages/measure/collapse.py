"""Collapsing edges of a mesh, compiled. See simplify.py for what is kept."""

from __future__ import annotations

from volproc.compiled import compiled
from volproc.stages.measure.corners import State, has, triangles_of
from volproc.stages.measure.keeping import (
    MAX_AROUND,
    Scratch,
    gather_held,
    gather_ring,
    link_holds,
    near,
    new_scratch,
    turns_over,
    within,
)
from volproc.stages.measure.quadrics import TERMS, Floats, best_place

OFF_PLANES = 0.5
"""A new vertex is off the planes it stands for by this share of the error, root mean square."""
FIRST_LIMIT = 1e-3
"""The first sweep collapses edges that cost so much, as a share of the highest cost."""
STEP = 1.6
"""Each sweep's limit is so many times that of the sweep before."""


@compiled
def collapse_all(state: State, error: float) -> None:
    """Collapse edges, the less costly before the others, as long as the mesh stays within `error`.

    Sweep after sweep, each with a higher limit of the cost, and at the highest until nothing is
    left to do. An edge that could not be collapsed is tried again once its surroundings changed.
    """
    scratch = new_scratch()
    highest = (OFF_PLANES * error) ** 2
    limit, before, sweep = FIRST_LIMIT * highest, -1.0, 1
    while _sweep(state, error, limit, before, sweep, scratch) or before < highest:
        before, limit = limit, min(STEP * limit, highest)
        sweep += 1


@compiled
def _sweep(
    state: State, error: float, limit: float, before: float, sweep: int, scratch: Scratch
) -> int:
    """Try edges that cost up to `limit`, each vertex once; how many were collapsed.

    Those up to `before` were tried by the last sweep.
    """
    collapsed = 0
    for t in range(len(state.triangles)):
        if state.triangles[t, 0] < 0:
            continue
        for corner in range(3):
            u, v = state.triangles[t, corner], state.triangles[t, (corner + 1) % 3]
            if u >= v or state.fixed[u] or state.fixed[v]:
                continue
            if state.merged[u] == sweep or state.merged[v] == sweep:
                continue
            cost = _cost(state, u, v, scratch)
            known = cost <= before and max(state.changed[u], state.changed[v]) < sweep - 1
            if known or cost > limit or not _try(state, u, v, error, scratch):
                continue
            collapsed += 1
            state.merged[v] = sweep
            for i in range(triangles_of(state, v, scratch.ring)):
                for k in range(3):
                    state.changed[state.triangles[scratch.ring[i], k]] = sweep
            break
    return collapsed


@compiled
def _cost(state: State, u: int, v: int, scratch: Scratch) -> float:
    """Mean squared distance after u and v became one; their place and quadric."""
    for i in range(TERMS):
        scratch.quadric[i] = state.quadrics[u, i] + state.quadrics[v, i]
    for i in range(3):
        scratch.place[i] = (state.places[u, i] + state.places[v, i]) / 2
    return float(best_place(scratch.quadric, scratch.place))


@compiled
def _try(state: State, u: int, v: int, error: float, scratch: Scratch) -> bool:
    """Make u and v one vertex v at `scratch.place`, unless that breaks a rule."""
    around_u = triangles_of(state, u, scratch.of_u)
    around_v = triangles_of(state, v, scratch.of_v)
    if around_u < 0 or around_v < 0 or around_u + around_v - 4 > MAX_AROUND:
        return False
    if not link_holds(state, u, v, around_u, around_v, scratch):
        return False
    count = gather_ring(state, u, v, around_u, around_v, scratch)
    held = gather_held(state, u, v, around_u, around_v, scratch)
    if held < 0:
        return False
    u0, u1, u2 = state.places[u, 0], state.places[u, 1], state.places[u, 2]
    v0, v1, v2 = state.places[v, 0], state.places[v, 1], state.places[v, 2]
    x, y, z = scratch.place[0], scratch.place[1], scratch.place[2]
    _move(state.places, u, x, y, z)
    _move(state.places, v, x, y, z)
    if (
        turns_over(state, count, scratch)
        or not within(state, count, held, error, scratch)
        or not near(state, count, held, error, scratch)
    ):
        _move(state.places, u, u0, u1, u2)
        _move(state.places, v, v0, v1, v2)
        return False
    _join(state, u, v, around_u, count, scratch)
    for i in range(count):
        state.held[scratch.ring[i]] = -1
    for i in range(held):
        p, t = scratch.held[i], scratch.nearest[i]
        state.next_held[p] = state.held[t]
        state.held[t] = p
    return True


@compiled
def _move(places: Floats, vertex: int, x: float, y: float, z: float) -> None:
    places[vertex, 0], places[vertex, 1], places[vertex, 2] = x, y, z


@compiled
def _join(state: State, u: int, v: int, around_u: int, count: int, scratch: Scratch) -> None:
    """Make u and v one: v, with the triangles of the ring around it."""
    for i in range(around_u):
        if has(state.triangles, scratch.of_u[i], v):
            state.triangles[scratch.of_u[i], 0] = -1
    for term in range(TERMS):
        state.quadrics[v, term] = scratch.quadric[term]
    state.first[v] = -1
    for i in range(count):
        t = scratch.ring[i]
        for corner in range(3):
            if state.triangles[t, corner] in (u, v):
                state.triangles[t, corner] = v
                state.following[3 * t + corner] = state.first[v]
                state.first[v] = 3 * t + corner
    state.first[u] = -1
