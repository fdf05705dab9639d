"""What a collapse of an edge must keep, compiled: what is closed, which way is up, the error."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from volproc.compiled import compiled
from volproc.stages.measure.corners import State, after, has, is_around, valence_is_three
from volproc.stages.measure.quadrics import (
    PREPARED,
    TERMS,
    Floats,
    normal,
    prepare,
    squared_distance,
)
from volproc.stages.measure.surface import Indices

MAX_AROUND = 40
"""Triangles around a vertex; a collapse that would make more is not done."""
MAX_HELD = 4096
"""Vertices as they came that one collapse may have to measure."""
FEW_HELD = 8
"""Triangles that stand for fewer vertices are too small to pass far from the mesh as it came."""
MIN_COSINE = 0.2
"""Between a triangle's normals before and after."""


class Scratch(NamedTuple):
    """Arrays that every collapse uses anew."""

    of_u: Indices
    of_v: Indices
    ring: Indices
    """Triangles around either vertex that stay, and turn."""
    held: Indices
    nearest: Indices
    before: Floats
    """Normals of the ring and their lengths, as they are."""
    prepared: Floats
    """The ring as it would be."""
    place: Floats
    quadric: Floats


@compiled
def new_scratch() -> Scratch:
    """Room for one collapse."""
    return Scratch(
        np.empty(MAX_AROUND, dtype=np.int32),
        np.empty(MAX_AROUND, dtype=np.int32),
        np.empty(MAX_AROUND, dtype=np.int32),
        np.empty(MAX_HELD, dtype=np.int32),
        np.empty(MAX_HELD, dtype=np.int32),
        np.empty((MAX_AROUND, 4)),
        np.empty((MAX_AROUND, PREPARED)),
        np.empty(3),
        np.empty(TERMS),
    )


@compiled
def link_holds(
    state: State, u: int, v: int, around_u: int, around_v: int, scratch: Scratch
) -> bool:
    """Whether u and v have two neighbours in common, those across their edge, and no more."""
    shared = 0
    for i in range(around_u):
        w = after(state.triangles, scratch.of_u[i], u)
        if w != v and is_around(state.triangles, w, scratch.of_v, around_v):
            shared += 1
            if valence_is_three(state, w):
                return False
    return shared == 2


@compiled
def gather_ring(
    state: State, u: int, v: int, around_u: int, around_v: int, scratch: Scratch
) -> int:
    """The triangles around u or v but those around both, and their normals; how many."""
    count = 0
    for i in range(around_u):
        if not has(state.triangles, scratch.of_u[i], v):
            scratch.ring[count] = scratch.of_u[i]
            count += 1
    for i in range(around_v):
        if not has(state.triangles, scratch.of_v[i], u):
            scratch.ring[count] = scratch.of_v[i]
            count += 1
    for i in range(count):
        a, b, c = _corners(state.triangles, scratch.ring[i])
        x, y, z, length = normal(state.places, a, b, c)
        scratch.before[i, 0], scratch.before[i, 1] = x, y
        scratch.before[i, 2], scratch.before[i, 3] = z, length
    return count


@compiled
def _corners(triangles: Indices, t: int) -> tuple[int, int, int]:
    return triangles[t, 0], triangles[t, 1], triangles[t, 2]


@compiled
def gather_held(
    state: State, u: int, v: int, around_u: int, around_v: int, scratch: Scratch
) -> int:
    """What the triangles around u and v hold, and u and v themselves; -1 if it is too much."""
    count = 0
    for i in range(around_u + around_v):
        t = scratch.of_u[i] if i < around_u else scratch.of_v[i - around_u]
        if i >= around_u and has(state.triangles, t, u):
            continue
        p = state.held[t]
        while p >= 0:
            if count >= MAX_HELD - 2:
                return -1
            scratch.held[count] = p
            count += 1
            p = state.next_held[p]
    for vertex in (u, v):
        if state.next_held[vertex] == -2:
            scratch.held[count] = vertex
            count += 1
    return count


@compiled
def turns_over(state: State, count: int, scratch: Scratch) -> bool:
    """Whether a triangle of the ring is no longer what it was; prepares those that are."""
    for i in range(count):
        a, b, c = _corners(state.triangles, scratch.ring[i])
        x, y, z, length = normal(state.places, a, b, c)
        along = scratch.before[i, 0] * x + scratch.before[i, 1] * y + scratch.before[i, 2] * z
        if along <= MIN_COSINE * scratch.before[i, 3] * length:
            return True
        prepare(state.places, a, b, c, scratch.prepared, i)
    return False


@compiled
def within(state: State, count: int, held: int, error: float, scratch: Scratch) -> bool:
    """Whether all that is held stays within `error`; a triangle that is so near to each."""
    for i in range(held):
        p = scratch.held[i]
        x, y, z = state.came[p, 0], state.came[p, 1], state.came[p, 2]
        best = np.inf
        for j in range(count):
            far, above = squared_distance(x, y, z, scratch.prepared, j)
            if far < best:
                best = far
                scratch.nearest[i] = scratch.ring[j]
            if above and far <= error * error:
                scratch.nearest[i] = scratch.ring[j]
                break
        if best > error * error:
            return False
    return True


@compiled
def near(state: State, count: int, held: int, error: float, scratch: Scratch) -> bool:
    """Whether middles of the triangles and of their sides stay near the mesh as it came.

    Near is within `error` of the nearest vertex that is held, or of the plane there.
    """
    if held < FEW_HELD:
        return True
    t = scratch.prepared
    for j in range(count):
        for r, s in ((0.5, 0.0), (0.0, 0.5), (0.5, 0.5), (1 / 3, 1 / 3)):
            x = t[j, 0] + r * t[j, 3] + s * t[j, 6]
            y = t[j, 1] + r * t[j, 4] + s * t[j, 7]
            z = t[j, 2] + r * t[j, 5] + s * t[j, 8]
            best, nearest = np.inf, 0
            for i in range(held):
                p = scratch.held[i]
                dx, dy, dz = x - state.came[p, 0], y - state.came[p, 1], z - state.came[p, 2]
                far = dx * dx + dy * dy + dz * dz
                if far < best:
                    best, nearest = far, p
            if best > error * error and abs(_above(state, nearest, x, y, z)) > error:
                return False
    return True


@compiled
def _above(state: State, p: int, x: float, y: float, z: float) -> float:
    """How far a place is above the surface as it came at vertex p."""
    dx, dy, dz = x - state.came[p, 0], y - state.came[p, 1], z - state.came[p, 2]
    return float(dx * state.normals[p, 0] + dy * state.normals[p, 1] + dz * state.normals[p, 2])
