"""Randomness that is a pure function of place: integer hashes and gradient noise.

Nothing here has a state, so a value does not depend on which block asks for it. All arithmetic
is + - * / and whole numbers: the same bits whether the compiler vectorises a loop or not.
"""

from __future__ import annotations

import numpy as np
from numba import njit

SEED = np.uint32  # seeds and salts are unsigned 32-bit everywhere


@njit(cache=True, nogil=True, inline="always")
def mixed(h: int) -> int:
    """A 32-bit number scrambled so that neighbours share nothing ("lowbias32", C. Wellons)."""
    h = np.uint32(h ^ (h >> np.uint32(16)))
    h = np.uint32(h * np.uint32(0x7FEB352D))
    h = np.uint32(h ^ (h >> np.uint32(15)))
    h = np.uint32(h * np.uint32(0x846CA68B))
    return np.uint32(h ^ (h >> np.uint32(16)))


@njit(cache=True, nogil=True)
def hashed(z: int, y: int, x: int, seed: int) -> int:
    """32 random bits of a lattice point; negative indices are fine."""
    h = np.uint32(np.uint32(z) * np.uint32(0x8DA6B343))
    h = mixed(np.uint32(h ^ np.uint32(seed)))
    h = mixed(np.uint32(h ^ np.uint32(np.uint32(y) * np.uint32(0xD8163841))))
    return mixed(np.uint32(h ^ np.uint32(np.uint32(x) * np.uint32(0xCB1AB31F))))


@njit(cache=True, nogil=True)
def unit(z: int, y: int, x: int, seed: int) -> float:
    """A random number in [0, 1) of a lattice point."""
    return hashed(z, y, x, seed) * (1.0 / 4294967296.0)


@njit(cache=True, nogil=True, inline="always")
def _slope(h: int, dz: float, dy: float, dx: float) -> float:
    """Height at (dz, dy, dx) of the random plane through the origin that `h` stands for."""
    gz = np.float64(np.uint32(h & np.uint32(1023))) - 511.5
    gy = np.float64(np.uint32((h >> np.uint32(10)) & np.uint32(1023))) - 511.5
    gx = np.float64(np.uint32((h >> np.uint32(20)) & np.uint32(1023))) - 511.5
    return (gz * dz + gy * dy + gx * dx) * (1.0 / 511.5)


@njit(cache=True, nogil=True, inline="always")
def _fade(t: float) -> float:
    return t * t * t * (t * (t * 6.0 - 15.0) + 10.0)


@njit(cache=True, nogil=True)
def smooth_noise(z: float, y: float, x: float, seed: int) -> float:
    """Gradient noise of wavelength 1: mean 0, spread about 0.27, hardly ever beyond 0.9.

    After K. Perlin, Improving noise, SIGGRAPH 2002.
    """
    fz, fy, fx = np.floor(z), np.floor(y), np.floor(x)
    iz, iy, ix = np.int64(fz), np.int64(fy), np.int64(fx)
    tz, ty, tx = z - fz, y - fy, x - fx
    wz, wy, wx = _fade(tz), _fade(ty), _fade(tx)
    total = 0.0
    for k in range(2):
        hz = np.uint32(np.uint32(iz + k) * np.uint32(0x8DA6B343))
        hz = mixed(np.uint32(hz ^ np.uint32(seed)))
        weight_z = wz if k else 1.0 - wz
        for j in range(2):
            hy = np.uint32(np.uint32(iy + j) * np.uint32(0xD8163841))
            hy = np.uint32(hz ^ hy)
            a = mixed(np.uint32(hy ^ np.uint32(np.uint32(ix) * np.uint32(0xCB1AB31F))))
            b = mixed(np.uint32(hy ^ np.uint32(np.uint32(ix + 1) * np.uint32(0xCB1AB31F))))
            low = _slope(a, tz - k, ty - j, tx)
            high = _slope(b, tz - k, ty - j, tx - 1.0)
            weight = weight_z * (wy if j else 1.0 - wy)
            total += weight * (low + wx * (high - low))
    return total
