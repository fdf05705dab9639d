"""Smooth fields of a scene on a lattice of 100 nm, from which every voxel is interpolated.

The lattice is anchored at the volume's corner and counts in nm, so it is the same for every
block and every voxel size. Values are signed distances in nm (negative inside) or grey levels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from volproc.stages.phantom.noise import hashed, smooth_noise
from volproc.stages.phantom.tables import Tables

LATTICE_NM = 100.0
FAR_NM = 3_000.0  # distances beyond are not worth knowing
ENVELOPE_NM = 77.0
FOLD_TAPER = 0.25  # a fold thins by this much per nm towards its ends
NUCLEI_APART_NM = 1_000.0
CELLS_APART_NM = 300.0
RIM_NM = 700.0  # cytoplasm around a nucleus is at least this thick
NUCLEUS_BULGE_NM = 1_100.0

Array = npt.NDArray[np.float32]


class Fields(NamedTuple):
    """One value per lattice point, all of the same shape; `first` is the index of the corner."""

    nucleus: Array  # distance to the surface of the nearest nucleus, folds not yet cut in
    cell: Array  # distance to the surface of the nearest cell
    reticulum: Array  # distance to the nearest sheet of endoplasmic reticulum
    warp: Array  # how far folds are displaced, nm
    in_nucleus: Array  # grey levels added to the three kinds of ground
    in_cytoplasm: Array
    in_resin: Array
    owner: npt.NDArray[np.int32]  # the nearest nucleus's row in the tables
    near_folds: npt.NDArray[np.uint32]  # bit k: fold k of the owner may matter within one step


@njit(cache=True, nogil=True)
def ellipsoid(z: float, y: float, x: float, a: float, b: float, c: float) -> tuple[float, float]:
    """Distance to an ellipsoid's surface (first order), and the position's scale on it."""
    k0 = np.sqrt((z / a) ** 2 + (y / b) ** 2 + (x / c) ** 2)
    if k0 < 0.05:
        return -min(a, b, c), 0.05
    k1 = np.sqrt((z / (a * a)) ** 2 + (y / (b * b)) ** 2 + (x / (c * c)) ** 2)
    return k0 * (k0 - 1.0) / k1, k0


@njit(cache=True, nogil=True)
def _bulge(z: float, y: float, x: float, salt: int) -> float:
    """How far a nucleus bulges out in the direction of a point on its ellipsoid.

    It depends on the direction only: the nucleus stays star-shaped, so in one piece.
    """
    s = np.uint32(salt)
    bulge = 1500.0 * smooth_noise(z / 5000.0, y / 5000.0, x / 5000.0, s)
    bulge += 900.0 * smooth_noise(z / 2100.0, y / 2100.0, x / 2100.0, np.uint32(s + np.uint32(1)))
    bulge += 260.0 * smooth_noise(z / 800.0, y / 800.0, x / 800.0, np.uint32(s + np.uint32(2)))
    return min(max(bulge, -NUCLEUS_BULGE_NM), NUCLEUS_BULGE_NM)


@njit(cache=True, nogil=True)
def distances(z: float, y: float, x: float, tables: Tables) -> tuple[float, float, int]:
    """Distances to the nearest nucleus (without folds) and cell (without blebs), and whose."""
    nucleus, other_nucleus, owner = FAR_NM, FAR_NM, 0
    cell, other_cell = FAR_NM, FAR_NM
    for i in range(len(tables.cells)):
        c = tables.cells[i]
        dz, dy, dx = z - c[0], y - c[1], x - c[2]
        if dz * dz + dy * dy + dx * dx > 121e6:
            continue
        rz = c[9] * dz + c[10] * dy + c[11] * dx
        ry = c[12] * dz + c[13] * dy + c[14] * dx
        rx = c[15] * dz + c[16] * dy + c[17] * dx
        d, _ = ellipsoid(rz, ry, rx, c[3], c[4], c[5])
        other_cell = min(other_cell, max(cell, d))
        cell = min(cell, d)
        if tables.ids[i] > 0:
            d, scale = ellipsoid(rz, ry, rx, c[6], c[7], c[8])
            if abs(d) < 2 * NUCLEUS_BULGE_NM:
                d -= _bulge(rz / scale, ry / scale, rx / scale, tables.salts[i])
            if d < nucleus:
                owner = i
            other_nucleus = min(other_nucleus, max(nucleus, d))
            nucleus = min(nucleus, d)
    nucleus = max(nucleus, 0.5 * (nucleus - other_nucleus + NUCLEI_APART_NM))
    cell = max(cell, 0.5 * (cell - other_cell + CELLS_APART_NM))
    return nucleus, cell, owner


@njit(cache=True, nogil=True)
def blebbed(z: float, y: float, x: float, cell: float, nucleus: float, seed: int) -> float:
    """Distance to a cell's surface with lobes, blebs and outgrowths."""
    s = np.uint32(seed)
    if abs(cell) < 2_600.0:
        cell -= 2000.0 * smooth_noise(z / 4200.0, y / 4200.0, x / 4200.0, s)
        cell -= 1500.0 * smooth_noise(z / 1700.0, y / 1700.0, x / 1700.0, np.uint32(s + np.uint32(1)))
        cell -= 500.0 * smooth_noise(z / 620.0, y / 620.0, x / 620.0, np.uint32(s + np.uint32(2)))
    return min(cell, nucleus - RIM_NM)


@njit(cache=True, nogil=True)
def fold_distance(fold: Array, z: float, y: float, x: float, warp: float) -> float:
    """How deep a place lies in a fold, nm: positive in its cytoplasm. Place from the centre."""
    s = fold[0] * z + fold[1] * y + fold[2] * x - fold[3] + warp
    depth = fold[4] * z + fold[5] * y + fold[6] * x - fold[7]
    lateral = fold[12] - abs(fold[8] * z + fold[9] * y + fold[10] * x - fold[11])
    width = fold[13] * min(max(np.float32(1.0) + warp * np.float32(0.0011), np.float32(0.4)), np.float32(1.8))
    width = min(width, np.float32(FOLD_TAPER) * min(depth, lateral))
    return width - abs(s)


@njit(cache=True, nogil=True)
def _near_folds(tables: Tables, owner: int, z: float, y: float, x: float, warp: float) -> int:
    bits = np.uint32(0)
    c = tables.cells[owner]
    first = tables.fold_first[owner]
    for k in range(first, tables.fold_first[owner + 1]):
        d = fold_distance(
            tables.folds[k],
            np.float32(z - c[0]), np.float32(y - c[1]), np.float32(x - c[2]), np.float32(warp),
        )  # fmt: skip
        # within one lattice step (173 nm across) the depth changes by less than 500 nm
        if d > -ENVELOPE_NM - 500.0:
            bits = np.uint32(bits | (np.uint32(1) << np.uint32(k - first)))
    return bits


@njit(cache=True, nogil=True)
def _nucleus_tone(z: float, y: float, x: float, tables: Tables, owner: int, seed: int) -> float:
    """Chromatin clumps and nucleoli, grey levels."""
    s = np.uint32(seed)
    clump = smooth_noise(z / 900.0, y / 900.0, x / 900.0, np.uint32(s + np.uint32(10)))
    tone = 12.0 * smooth_noise(z / 3600.0, y / 3600.0, x / 3600.0, np.uint32(s + np.uint32(11)))
    tone -= 22.0 * max(0.0, clump - 0.12)
    for k in range(tables.nucleolus_first[owner], tables.nucleolus_first[owner + 1]):
        n = tables.nucleoli[k]
        r = np.sqrt((z - n[0]) ** 2 + (y - n[1]) ** 2 + (x - n[2]) ** 2)
        inside = (n[3] * (1.0 + 0.9 * clump) - r) / 500.0
        tone -= 13.0 * min(max(inside, 0.0), 1.0)
    return tone


@njit(cache=True, nogil=True)
def _resin_tone(z: float, y: float, x: float, seed: int) -> float:
    """Slow changes, and the dark smears that charging leaves in empty resin."""
    s = np.uint32(seed)
    slow = smooth_noise(z / 9000.0, y / 9000.0, x / 9000.0, np.uint32(s + np.uint32(20)))
    ridge = abs(smooth_noise(z / 7000.0, y / 7000.0, x / 7000.0, np.uint32(s + np.uint32(21))))
    smear = max(0.0, 1.0 - ridge / 0.09) * max(0.0, slow - 0.05)
    return 14.0 * slow - 260.0 * smear


@njit(cache=True, nogil=True)
def _grain(z: int, y: int, x: int, seed: int) -> float:
    """Texture as fine as the lattice: grey levels of spread 6."""
    h = hashed(z, y, x, seed)
    one = np.float64(np.uint32(h & np.uint32(0xFFFF)))
    two = np.float64(np.uint32(h >> np.uint32(16)))
    return (one + two - 65535.0) * (6.0 / 26755.0)


@njit(cache=True, nogil=True)
def _reticulum(z: float, y: float, x: float, seed: int) -> float:
    s = np.uint32(seed)
    coarse = smooth_noise(z / 1500.0, y / 1500.0, x / 1500.0, np.uint32(s + np.uint32(30)))
    fine = smooth_noise(z / 600.0, y / 600.0, x / 600.0, np.uint32(s + np.uint32(31)))
    return 700.0 * coarse + 160.0 * fine


@njit(cache=True, nogil=True)
def fill(fields: Fields, first: npt.NDArray[np.int64], tables: Tables, seed: int) -> None:
    """Every field at every lattice point, distances not yet scaled to their slope."""
    s = np.uint32(seed)
    depth, rows, columns = fields.nucleus.shape
    for k in range(depth):
        z = (first[0] + k) * LATTICE_NM
        for j in range(rows):
            y = (first[1] + j) * LATTICE_NM
            for i in range(columns):
                x = (first[2] + i) * LATTICE_NM
                nucleus, cell, owner = distances(z, y, x, tables)
                cell = blebbed(z, y, x, cell, nucleus, s)
                grain = _grain(first[0] + k, first[1] + j, first[2] + i, np.uint32(s + np.uint32(9)))
                fields.nucleus[k, j, i] = nucleus
                fields.cell[k, j, i] = cell
                fields.owner[k, j, i] = owner
                if nucleus < 300.0:
                    warp = 1800.0 * smooth_noise(z / 4000.0, y / 4000.0, x / 4000.0, np.uint32(s + np.uint32(40)))
                    warp += 420.0 * smooth_noise(z / 1100.0, y / 1100.0, x / 1100.0, np.uint32(s + np.uint32(41)))
                    fields.warp[k, j, i] = warp
                    fields.near_folds[k, j, i] = _near_folds(tables, owner, z, y, x, warp)
                    fields.in_nucleus[k, j, i] = grain + _nucleus_tone(z, y, x, tables, owner, s)
                if cell < 300.0:
                    slow = smooth_noise(z / 2600.0, y / 2600.0, x / 2600.0, np.uint32(s + np.uint32(12)))
                    fields.in_cytoplasm[k, j, i] = 1.3 * grain + 14.0 * slow
                    fields.reticulum[k, j, i] = _reticulum(z, y, x, s) if nucleus > -300.0 else FAR_NM
                if cell > -300.0:
                    fields.in_resin[k, j, i] = 0.5 * grain + _resin_tone(z, y, x, s)


@njit(cache=True, nogil=True)
def scale_to_slope(values: Array, lowest: float) -> Array:
    """Distances divided by their own slope, so that equal steps are equal nm; the rim is lost.

    Slopes below `lowest` or above 3 count as these.
    """
    depth, rows, columns = values.shape
    out = np.empty((depth - 2, rows - 2, columns - 2), np.float32)
    for k in range(1, depth - 1):
        for j in range(1, rows - 1):
            for i in range(1, columns - 1):
                dz = values[k + 1, j, i] - values[k - 1, j, i]
                dy = values[k, j + 1, i] - values[k, j - 1, i]
                dx = values[k, j, i + 1] - values[k, j, i - 1]
                slope = np.sqrt(dz * dz + dy * dy + dx * dx) / np.float32(2.0 * LATTICE_NM)
                slope = min(max(slope, np.float32(lowest)), np.float32(3.0))
                out[k - 1, j - 1, i - 1] = values[k, j, i] / slope
    return out
