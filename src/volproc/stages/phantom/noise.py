"""Randomness that is a pure function of place: integer hashes and gradient noise.

Nothing here has a state, so a value is the same in every block. All arithmetic
is + - * / and whole numbers: the same bits whether the compiler vectorises a loop or not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from volproc.compiled import Real, Whole, compiled

Row = npt.NDArray[np.float64]
Octaves = npt.NDArray[np.float64]
"""Waves to be added up: rows of (length in nm, amplitude, salt)."""


@compiled
def mixed(h: Whole) -> Whole:
    """A 32-bit number scrambled so that neighbours share nothing ("lowbias32", C. Wellons)."""
    h = np.uint32(h ^ (h >> np.uint32(16)))
    h = np.uint32(h * np.uint32(0x7FEB352D))
    h = np.uint32(h ^ (h >> np.uint32(15)))
    h = np.uint32(h * np.uint32(0x846CA68B))
    return np.uint32(h ^ (h >> np.uint32(16)))


@compiled
def hashed(z: Whole, y: Whole, x: Whole, seed: Whole) -> Whole:
    """32 random bits of a lattice point; negative indices are fine."""
    h = np.uint32(np.uint32(z) * np.uint32(0x8DA6B343))
    h = mixed(np.uint32(h ^ np.uint32(seed)))
    h = mixed(np.uint32(h ^ np.uint32(np.uint32(y) * np.uint32(0xD8163841))))
    return mixed(np.uint32(h ^ np.uint32(np.uint32(x) * np.uint32(0xCB1AB31F))))


@compiled
def unit(z: Whole, y: Whole, x: Whole, seed: Whole) -> Real:
    """A random number in [0, 1) of a lattice point."""
    return hashed(z, y, x, seed) * (1.0 / 4294967296.0)


@compiled
def _plane_hash(z: Whole, seed: Whole) -> Whole:
    return mixed(np.uint32(np.uint32(np.uint32(z) * np.uint32(0x8DA6B343)) ^ np.uint32(seed)))


@compiled
def _edge_hash(plane: Whole, y: Whole) -> Whole:
    return np.uint32(plane ^ np.uint32(np.uint32(y) * np.uint32(0xD8163841)))


@compiled
def _gradient(edge: Whole, x: Whole) -> tuple[Real, Real, Real]:
    """The random gradient (z, y, x) of a lattice point, each part in [-1, 1]."""
    h = mixed(np.uint32(edge ^ np.uint32(np.uint32(x) * np.uint32(0xCB1AB31F))))
    gz = np.float64(np.uint32(h & np.uint32(1023)))
    gy = np.float64(np.uint32((h >> np.uint32(10)) & np.uint32(1023)))
    gx = np.float64(np.uint32((h >> np.uint32(20)) & np.uint32(1023)))
    scale = 1.0 / 511.5
    return gz * scale - 1.0, gy * scale - 1.0, gx * scale - 1.0


@compiled
def _fade(t: Real) -> Real:
    return t * t * t * (t * (t * 6.0 - 15.0) + 10.0)


@compiled
def octaves(z: Real, y: Real, x: Real, table: Octaves, seed: Whole) -> Real:
    """Gradient noise at a place (nm): the sum of the waves in `table`.

    A wave of amplitude 1 has mean 0, spread about 0.27, and hardly ever goes beyond 0.9.
    After K. Perlin, Improving noise, SIGGRAPH 2002.
    """
    total = 0.0
    for n in range(len(table)):
        salt = np.uint32(np.uint32(seed) + np.uint32(table[n, 2]))
        scale = 1.0 / table[n, 0]
        total += table[n, 1] * _wave_at(z * scale, y * scale, x * scale, salt)
    return total


@compiled
def _wave_at(z: Real, y: Real, x: Real, seed: Whole) -> Real:
    """One wave of length 1 at a place, as `_add_wave` gives it, without its memory."""
    fz, fy, fx = np.floor(z), np.floor(y), np.floor(x)
    tz, ty, tx = z - fz, y - fy, x - fx
    wz, wy, wx = _fade(tz), _fade(ty), _fade(tx)
    total = 0.0
    for k in range(2):
        hz = _plane_hash(np.int64(fz) + k, seed)
        for j in range(2):
            hy = _edge_hash(hz, np.int64(fy) + j)
            ends = 0.0
            for i in range(2):
                gz, gy, gx = _gradient(hy, np.int64(fx) + i)
                ends += (wx if i else 1.0 - wx) * (gz * (tz - k) + gy * (ty - j) + gx * (tx - i))
            total += (wz if k else 1.0 - wz) * (wy if j else 1.0 - wy) * ends
    return total


@compiled
def add_octaves(
    out: Row, z: Real, y: Real, x: Real, step: Real, table: Octaves, seed: Whole
) -> None:
    """`octaves` added to `out` at the places x, x + step, ... of a line along x."""
    for n in range(len(table)):
        salt = np.uint32(np.uint32(seed) + np.uint32(table[n, 2]))
        scale = 1.0 / table[n, 0]
        _add_wave(out, z * scale, y * scale, x * scale, step * scale, table[n, 1], salt)


@compiled
def _add_wave(
    out: Row, z: Real, y: Real, x: Real, step: Real, amplitude: Real, seed: Whole
) -> None:
    """One wave of length 1. Between two lattice points along x it is a blend of two lines."""
    # Along x only the position in the lattice cell changes: the two ends of a cell are kept, and
    # the right one of a cell is the left one of the next.
    edges, hashes = np.empty((4, 3)), np.empty(4, np.uint32)
    _edges_around(z, y, seed, edges, hashes)
    cell = np.int64(-(2**62))
    low, low_slope, high, high_slope = 0.0, 0.0, 0.0, 0.0
    for i in range(len(out)):
        at = x + i * step
        floor = np.floor(at)
        here = np.int64(floor)
        if here != cell:
            if here == cell + 1:
                low, low_slope = high, high_slope
            else:
                low, low_slope = _line_at(here, edges, hashes)
            high, high_slope = _line_at(here + 1, edges, hashes)
            cell = here
        t = at - floor
        a = low + low_slope * t
        b = high + high_slope * (t - 1.0)
        out[i] += amplitude * (a + _fade(t) * (b - a))


@compiled
def _edges_around(
    z: Real, y: Real, seed: Whole, edges: npt.NDArray[np.float64], hashes: npt.NDArray[np.uint32]
) -> None:
    """The four lattice lines around a line along x: (weight, z and y distance), and a hash."""
    fz, fy = np.floor(z), np.floor(y)
    tz, ty = z - fz, y - fy
    wz, wy = _fade(tz), _fade(ty)
    for n in range(4):
        k, j = n // 2, n % 2
        edges[n, 0] = (wz if k else 1.0 - wz) * (wy if j else 1.0 - wy)
        edges[n, 1], edges[n, 2] = tz - k, ty - j
        hashes[n] = _edge_hash(_plane_hash(np.int64(fz) + k, seed), np.int64(fy) + j)


@compiled
def _line_at(
    i: Whole, edges: npt.NDArray[np.float64], hashes: npt.NDArray[np.uint32]
) -> tuple[Real, Real]:
    """What the random gradients at lattice index `i` give along x: height there, and slope."""
    height, slope = 0.0, 0.0
    for n in range(4):
        gz, gy, gx = _gradient(hashes[n], i)
        height += edges[n, 0] * (gz * edges[n, 1] + gy * edges[n, 2])
        slope += edges[n, 0] * gx
    return height, slope
