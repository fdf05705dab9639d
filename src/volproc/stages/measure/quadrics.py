"""Geometry of small pieces of a mesh, compiled: quadrics, distances, normals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]

TERMS = 11
"""A quadric: xx xy xz yy yz zz, then x y z, a constant, and the weight (area) of its planes."""
PREPARED = 12
PULL = 1e-3
"""Share of a quadric that pulls the best place towards a given one: in a plane all are as good."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def normal(a: Floats, b: Floats, c: Floats, out: Floats) -> float:
    """The normal of a triangle, as long as twice its area, into `out`; its length."""
    u0, u1, u2 = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    v0, v1, v2 = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    out[0], out[1], out[2] = u1 * v2 - u2 * v1, u2 * v0 - u0 * v2, u0 * v1 - u1 * v0
    return float(np.sqrt(out[0] ** 2 + out[1] ** 2 + out[2] ** 2))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def add_plane(a: Floats, n: Floats, length: float, quadric: Floats) -> None:
    """Add the squared distance to a triangle's plane, weighted by its area (`normal`)."""
    if length == 0:
        return
    x, y, z = n[0] / length, n[1] / length, n[2] / length
    d = -(x * a[0] + y * a[1] + z * a[2])
    weight = length / 2
    terms = (x * x, x * y, x * z, y * y, y * z, z * z, x * d, y * d, z * d, d * d, 1.0)
    for i in range(TERMS):
        quadric[i] += weight * terms[i]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def best_place(q: Floats, near: Floats, out: Floats) -> float:
    """Where the quadric is lowest, not far from `near`, into `out`; mean squared distance there."""
    pull = PULL * (q[0] + q[3] + q[5])
    a, b, c, d, e, f = q[0] + pull, q[1], q[2], q[3] + pull, q[4], q[5] + pull
    r0, r1, r2 = pull * near[0] - q[6], pull * near[1] - q[7], pull * near[2] - q[8]
    m0, m1, m2 = d * f - e * e, c * e - b * f, b * e - c * d
    det = a * m0 + b * m1 + c * m2
    if det > 0:
        out[0] = (m0 * r0 + m1 * r1 + m2 * r2) / det
        out[1] = (m1 * r0 + (a * f - c * c) * r1 + (b * c - a * e) * r2) / det
        out[2] = (m2 * r0 + (b * c - a * e) * r1 + (a * d - b * b) * r2) / det
    else:
        out[:] = near
    x, y, z = out[0], out[1], out[2]
    square = q[0] * x * x + q[3] * y * y + q[5] * z * z
    mixed = q[1] * x * y + q[2] * x * z + q[4] * y * z + q[6] * x + q[7] * y + q[8] * z
    return float(max(0.0, square + 2 * mixed + q[9]) / max(q[10], 1e-300))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def prepare(a: Floats, b: Floats, c: Floats, out: Floats) -> None:
    """What `squared_distance` needs of a triangle into `out`, shape (PREPARED,)."""
    for i in range(3):
        out[i], out[3 + i], out[6 + i] = a[i], b[i] - a[i], c[i] - a[i]
    out[9] = out[3] * out[3] + out[4] * out[4] + out[5] * out[5]
    out[10] = out[3] * out[6] + out[4] * out[7] + out[5] * out[8]
    out[11] = out[6] * out[6] + out[7] * out[7] + out[8] * out[8]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
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


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
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
