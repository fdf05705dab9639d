"""How far a place is from nuclei, cells and folds, in nm; negative inside nuclei and cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from volproc.stages.phantom.compiled import compiled
from volproc.stages.phantom.noise import octaves
from volproc.stages.phantom.objects import CELL_REACH_NM
from volproc.stages.phantom.tables import Tables

FAR_NM = 3_000.0  # distances beyond are not worth knowing
NUCLEI_APART_NM = 1_000.0
CELLS_APART_NM = 1_300.0  # before blebs fill a part of it
RIM_NM = 700.0  # cytoplasm around a nucleus is at least this thick

BULGES = np.array([[5000.0, 1500.0, 0], [2100.0, 1150.0, 1], [750.0, 360.0, 2]])
MOST_BULGE_NM = 1_100.0
BLEBS = np.array([[4200.0, 2000.0, 3], [1700.0, 2500.0, 4], [700.0, 1000.0, 5]])
REACH_OF_BLEBS_NM = 2_600.0

# Compiled code is several times faster with cells[i, 3] than with a row taken out first: each such
# row is counted as one more owner of the array.
Array = npt.NDArray[np.float64]

FOLD_TAPER = np.float32(0.25)  # a fold thins by this much per nm towards its ends


@compiled
def _ellipsoid(z: float, y: float, x: float, a: float, b: float, c: float) -> tuple[float, float]:
    """Distance to the surface of an ellipsoid with axes 1/a, 1/b, 1/c, and the place's scale on it.

    The distance is exact to first order. Inverse axes, since divisions are slow.
    """
    z, y, x = z * a, y * b, x * c
    scale = np.sqrt(z * z + y * y + x * x)
    if scale < 0.05:
        return -1.0 / max(a, b, c), 0.05
    z, y, x = z * a, y * b, x * c
    return scale * (scale - 1.0) / np.sqrt(z * z + y * y + x * x), scale


@compiled
def _nucleus(z: float, y: float, x: float, cells: Array, i: int, salt: int) -> float:
    """Distance to the nucleus of cell `i` in its own axes: an ellipsoid with bulges.

    The bulge depends on the direction only, so the nucleus is star-shaped: in one piece.
    """
    d, scale = _ellipsoid(z, y, x, cells[i, 6], cells[i, 7], cells[i, 8])
    if abs(d) < MOST_BULGE_NM + RIM_NM + 100.0:
        bulge = octaves(z / scale, y / scale, x / scale, BULGES, np.uint32(salt))
        d -= min(max(bulge, -MOST_BULGE_NM), MOST_BULGE_NM)
    return d


@compiled
def distances(z: float, y: float, x: float, tables: Tables) -> tuple[float, float, int]:
    """Distances to the nearest nucleus (without folds) and cell (without blebs), and whose."""
    nucleus, other_nucleus, owner = FAR_NM, FAR_NM, 0
    cell, other_cell = FAR_NM, FAR_NM
    c = tables.cells
    for i in range(len(c)):
        dz, dy, dx = z - c[i, 0], y - c[i, 1], x - c[i, 2]
        if dz * dz + dy * dy + dx * dx > CELL_REACH_NM * CELL_REACH_NM:
            continue
        rz = c[i, 9] * dz + c[i, 10] * dy + c[i, 11] * dx
        ry = c[i, 12] * dz + c[i, 13] * dy + c[i, 14] * dx
        rx = c[i, 15] * dz + c[i, 16] * dy + c[i, 17] * dx
        d, _ = _ellipsoid(rz, ry, rx, c[i, 3], c[i, 4], c[i, 5])
        other_cell = min(other_cell, max(cell, d))
        cell = min(cell, d)
        # a nucleus lies at least RIM_NM inside its cell
        if tables.ids[i] > 0 and d < FAR_NM - RIM_NM:
            d = _nucleus(rz, ry, rx, c, i, tables.salts[i])
            if d < nucleus:
                owner = i
            other_nucleus = min(other_nucleus, max(nucleus, d))
            nucleus = min(nucleus, d)
    nucleus = max(nucleus, 0.5 * (nucleus - other_nucleus + NUCLEI_APART_NM))
    cell = max(cell, 0.5 * (cell - other_cell + CELLS_APART_NM))
    return nucleus, cell, owner


@compiled
def room(z: float, y: float, x: float, tables: Tables, seed: int) -> tuple[float, float]:
    """Distances to the nearest nucleus and cell, blebs and outgrowths included."""
    nucleus, cell, _ = distances(z, y, x, tables)
    if abs(cell) < REACH_OF_BLEBS_NM:
        cell -= octaves(z, y, x, BLEBS, seed)
    return nucleus, min(cell, nucleus - RIM_NM)


@compiled
def fold_depth(
    folds: npt.NDArray[np.float32], k: int, z: float, y: float, x: float, warp: float
) -> float:
    """How deep a place lies in fold `k`, positive in its cytoplasm; all in float32.

    The place counts from the nucleus's centre; `warp` bends the sheet and varies its width.
    """
    s = folds[k, 0] * z + folds[k, 1] * y + folds[k, 2] * x - folds[k, 3] + warp
    inward = folds[k, 4] * z + folds[k, 5] * y + folds[k, 6] * x - folds[k, 7]
    lateral = folds[k, 12] - abs(folds[k, 8] * z + folds[k, 9] * y + folds[k, 10] * x - folds[k, 11])
    swelling = np.float32(1.0) + warp * np.float32(0.0011)
    width = folds[k, 13] * min(max(swelling, np.float32(0.5)), np.float32(1.8))
    return min(width, FOLD_TAPER * min(inward, lateral)) - abs(s)
