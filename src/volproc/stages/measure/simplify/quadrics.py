"""Geometry of small pieces of a mesh, compiled: quadrics, distances, normals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.stages.measure.mesh.isosurface import Indices

Floats = npt.NDArray[np.float64]

TERMS = 11
"""A quadric: xx xy xz yy yz zz, then x y z, a constant, and the weight (area) of its planes."""
PREPARED = 12
PULL = 1e-3
"""Share of a quadric that pulls the best place towards a given one: in a plane all are as good."""


@compiled
def normal(places: Floats, a: int, b: int, c: int) -> tuple[float, float, float, float]:
    """The normal of the triangle of three vertices, as long as twice its area; and its length."""
    u0, v0 = places[b, 0] - places[a, 0], places[c, 0] - places[a, 0]
    u1, v1 = places[b, 1] - places[a, 1], places[c, 1] - places[a, 1]
    u2, v2 = places[b, 2] - places[a, 2], places[c, 2] - places[a, 2]
    x, y, z = u1 * v2 - u2 * v1, u2 * v0 - u0 * v2, u0 * v1 - u1 * v0
    return x, y, z, float(np.sqrt(x * x + y * y + z * z))


@compiled
def add_planes(places: Floats, triangles: Indices, quadrics: Floats, normals: Floats) -> None:
    """To each vertex, the squared distance to its triangles' planes, weighted by their areas.

    And to each the direction of the surface there, a normal of length 1.
    """
    for t in range(len(triangles)):
        a = triangles[t, 0]
        x, y, z, length = normal(places, a, triangles[t, 1], triangles[t, 2])
        if length == 0:
            continue
        i, j, k = x / length, y / length, z / length
        d = -(i * places[a, 0] + j * places[a, 1] + k * places[a, 2])
        terms = (i * i, i * j, i * k, j * j, j * k, k * k, i * d, j * d, k * d, d * d, 1.0)
        for corner in range(3):
            v = triangles[t, corner]
            for term in range(TERMS):
                quadrics[v, term] += length / 2 * terms[term]
            normals[v, 0] += x
            normals[v, 1] += y
            normals[v, 2] += z
    for v in range(len(normals)):
        length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2)
        for axis in range(3):
            normals[v, axis] /= max(length, 1e-300)


@compiled
def best_place(q: Floats, out: Floats) -> float:
    """Where the quadric is lowest, not far from `out`, into `out`; mean squared distance there."""
    pull = PULL * (q[0] + q[3] + q[5])
    a, b, c, d, e, f = q[0] + pull, q[1], q[2], q[3] + pull, q[4], q[5] + pull
    r0, r1, r2 = pull * out[0] - q[6], pull * out[1] - q[7], pull * out[2] - q[8]
    m0, m1, m2 = d * f - e * e, c * e - b * f, b * e - c * d
    det = a * m0 + b * m1 + c * m2
    if det > 0:
        out[0] = (m0 * r0 + m1 * r1 + m2 * r2) / det
        out[1] = (m1 * r0 + (a * f - c * c) * r1 + (b * c - a * e) * r2) / det
        out[2] = (m2 * r0 + (b * c - a * e) * r1 + (a * d - b * b) * r2) / det
    x, y, z = out[0], out[1], out[2]
    square = q[0] * x * x + q[3] * y * y + q[5] * z * z
    mixed = q[1] * x * y + q[2] * x * z + q[4] * y * z + q[6] * x + q[7] * y + q[8] * z
    return float(max(0.0, square + 2 * mixed + q[9]) / max(q[10], 1e-300))


@compiled
def prepare(places: Floats, a: int, b: int, c: int, out: Floats, row: int) -> None:
    """What `squared_distance` needs of a triangle into row `row` of `out`, shape (n, PREPARED)."""
    uu = uv = vv = 0.0
    for i in range(3):
        u, v = places[b, i] - places[a, i], places[c, i] - places[a, i]
        out[row, i], out[row, 3 + i], out[row, 6 + i] = places[a, i], u, v
        uu, uv, vv = uu + u * u, uv + u * v, vv + v * v
    out[row, 9], out[row, 10], out[row, 11] = uu, uv, vv


@compiled
def squared_distance(x: float, y: float, z: float, t: Floats, row: int) -> tuple[float, bool]:
    """From a point to triangle `row` of `prepare`, and whether it lies straight above it.

    (Ericson 2005, Real-Time Collision Detection, section 5.1.5, by barycentric coordinates.)
    """
    x, y, z = x - t[row, 0], y - t[row, 1], z - t[row, 2]
    uu, uv, vv = t[row, 9], t[row, 10], t[row, 11]
    pu = x * t[row, 3] + y * t[row, 4] + z * t[row, 5]
    pv = x * t[row, 6] + y * t[row, 7] + z * t[row, 8]
    det = uu * vv - uv * uv
    # the point's place as a + r ab + s ac: over the triangle, or else nearest to one of its sides
    r, s = vv * pu - uv * pv, uu * pv - uv * pu
    above = det > 0 and r >= 0 and s >= 0 and r + s <= det
    if above:
        r, s = r / det, s / det
    else:
        r, s = _on_sides(uu, uv, vv, pu, pv)
    x -= r * t[row, 3] + s * t[row, 6]
    y -= r * t[row, 4] + s * t[row, 7]
    z -= r * t[row, 5] + s * t[row, 8]
    return x * x + y * y + z * z, above


@compiled
def _on_sides(uu: float, uv: float, vv: float, pu: float, pv: float) -> tuple[float, float]:
    """The nearest of three: on ab (t = 0), on ac (s = 0), and on bc (s + t = 1)."""
    side = uu - 2 * uv + vv
    s0 = min(max(pu / uu, 0.0), 1.0) if uu > 0 else 0.0
    t1 = min(max(pv / vv, 0.0), 1.0) if vv > 0 else 0.0
    t2 = min(max((pv - pu + uu - uv) / side, 0.0), 1.0) if side > 0 else 0.0
    on_ab = s0 * s0 * uu - 2 * s0 * pu
    on_ac = t1 * t1 * vv - 2 * t1 * pv
    s2 = 1.0 - t2
    on_bc = s2 * s2 * uu + 2 * s2 * t2 * uv + t2 * t2 * vv - 2 * (s2 * pu + t2 * pv)
    if on_ab <= on_ac and on_ab <= on_bc:
        return s0, 0.0
    return (0.0, t1) if on_ac <= on_bc else (s2, t2)
