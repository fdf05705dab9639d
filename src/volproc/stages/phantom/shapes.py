"""How far a place is from nuclei, cells and folds, in nm; negative inside nuclei and cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from volproc.compiled import Real, Whole, compiled
from volproc.stages.phantom.noise import octaves
from volproc.stages.phantom.scene import CELL_REACH_NM, Tables

FAR_NM = 3_000.0  # distances beyond are not worth knowing
NUCLEI_APART_NM = 1_000.0
CELLS_APART_NM = 1_300.0  # before blebs fill a part of it
RIM_NM = 700.0  # cytoplasm around a nucleus is at least this thick

BULGES = np.array([[5000.0, 1500.0, 0], [2100.0, 1150.0, 1], [750.0, 360.0, 2]])
MAX_BULGE_NM = 1_100.0
BLEBS = np.array([[4200.0, 2000.0, 3], [1700.0, 2500.0, 4], [700.0, 1000.0, 5]])
VILLI = np.array([[420.0, 900.0, 6]])
LUMPS = np.array([[2600.0, 1.0, 7], [900.0, 0.35, 8]])
LUMP_NM = 2_000.0  # by which a lump's surface moves as its noise changes by 1
REACH_OF_BLEBS_NM = 2_600.0

Array = npt.NDArray[np.float64]

FOLD_TAPER = np.float32(0.25)  # a fold thins by this much per nm towards its ends


@compiled
def _ellipsoid(z: Real, y: Real, x: Real, a: Real, b: Real, c: Real) -> tuple[Real, Real]:
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
def _bulge(z: Real, y: Real, x: Real, salt: Whole, share: Real) -> Real:
    """How far a nucleus bulges out at a point of its ellipsoid; `share` is a factor."""
    bulge = share * octaves(z, y, x, BULGES, salt)
    return min(max(bulge, -MAX_BULGE_NM), MAX_BULGE_NM)


class Around(NamedTuple):
    """What is near the places of a line along x: distances, and the nearest nucleus's row."""

    nucleus: Array
    cell: Array
    owner: npt.NDArray[np.int64]
    other_nucleus: Array
    other_cell: Array


@compiled
def along_line(around: Around, z: Real, y: Real, x: Real, step: Real, tables: Tables) -> None:
    """Distances to nuclei (without folds) and cells (without blebs) at x, x + step, ..."""
    around.nucleus[:] = FAR_NM
    around.cell[:] = FAR_NM
    around.owner[:] = 0
    around.other_nucleus[:] = FAR_NM
    around.other_cell[:] = FAR_NM
    bulging = tables.look.irregularity * min(tables.look.nucleus_size, 1.0)
    for n in range(len(tables.cells)):
        dz, dy = z - tables.cells[n, 0], y - tables.cells[n, 1]
        if dz * dz + dy * dy < CELL_REACH_NM * CELL_REACH_NM:
            _meet_cell(
                around, n, tables.cells, tables.ids[n], tables.salts[n], dz, dy, x, step, bulging
            )
    # Neighbours keep apart: where a second one is nearly as near, both withdraw from the middle
    # between them, so that no two nuclei or cells ever merge.
    for i in range(len(around.cell)):
        nucleus, cell = around.nucleus[i], around.cell[i]
        nearer = 0.5 * (nucleus - around.other_nucleus[i] + NUCLEI_APART_NM)
        around.nucleus[i] = max(nucleus, nearer)
        around.cell[i] = max(cell, 0.5 * (cell - around.other_cell[i] + CELLS_APART_NM))


@compiled
def _meet_cell(
    around: Around,
    n: Whole,
    cells: Array,
    label: Whole,
    salt: Whole,
    dz: Real,
    dy: Real,
    x: Real,
    step: Real,
    bulging: Real,
) -> None:
    """Take cell `n` into account."""
    # Plain numbers: compiled code is several times slower with arrays handed on in the loop.
    c0, c1, c2, n0, n1, n2 = (
        cells[n, 3], cells[n, 4], cells[n, 5], cells[n, 6], cells[n, 7], cells[n, 8],
    )  # fmt: skip
    # in the cell's own axes a place is linear in x: what is constant along the line comes first
    z0 = cells[n, 9] * dz + cells[n, 10] * dy
    y0 = cells[n, 12] * dz + cells[n, 13] * dy
    x0 = cells[n, 15] * dz + cells[n, 16] * dy
    z1, y1, x1 = cells[n, 11], cells[n, 14], cells[n, 17]
    within = CELL_REACH_NM * CELL_REACH_NM - dz * dz - dy * dy
    for i in range(len(around.cell)):
        dx = x + i * step - cells[n, 2]
        if dx * dx >= within:
            continue
        rz, ry, rx = z0 + z1 * dx, y0 + y1 * dx, x0 + x1 * dx
        d, _ = _ellipsoid(rz, ry, rx, c0, c1, c2)
        around.other_cell[i] = min(around.other_cell[i], max(around.cell[i], d))
        around.cell[i] = min(around.cell[i], d)
        # a nucleus is at least RIM_NM inside its cell
        if label == 0 or d > FAR_NM - RIM_NM:
            continue
        d, scale = _ellipsoid(rz, ry, rx, n0, n1, n2)
        if abs(d) < MAX_BULGE_NM + RIM_NM + 100.0:
            # the bulge depends on the direction only, so the nucleus is star-shaped: in one piece
            d -= _bulge(rz / scale, ry / scale, rx / scale, salt, bulging)
        if d < around.nucleus[i]:
            around.owner[i] = n
        around.other_nucleus[i] = min(around.other_nucleus[i], max(around.nucleus[i], d))
        around.nucleus[i] = min(around.nucleus[i], d)


@compiled
def room_for(places: Whole) -> Around:
    """Empty rows for `along_line`."""
    return Around(
        np.empty(places), np.empty(places), np.empty(places, np.int64),
        np.empty(places), np.empty(places),
    )  # fmt: skip


@compiled
def with_blebs(cell: Real, nucleus: Real, blebs: Real) -> Real:
    """Distance to a cell's surface, its blebs and outgrowths included."""
    if abs(cell) < REACH_OF_BLEBS_NM:
        cell -= blebs
    return min(cell, nucleus - RIM_NM)


@compiled
def to_lump(noise: Real, lumps: Real) -> Real:
    """Distance to the surface of shed lumps of cytoplasm; there are more where `lumps` is 1."""
    return LUMP_NM * (0.5 - 0.4 * lumps - noise)


@compiled
def fold_depth(
    folds: npt.NDArray[np.float32], k: Whole, z: Real, y: Real, x: Real, warp: Real
) -> Real:
    """How deep a place is in fold `k`, positive in its cytoplasm; all in float32.

    The place counts from the nucleus's centre; `warp` bends the sheet and varies its width.
    """
    s = folds[k, 0] * z + folds[k, 1] * y + folds[k, 2] * x - folds[k, 3] + warp
    inward = folds[k, 4] * z + folds[k, 5] * y + folds[k, 6] * x - folds[k, 7]
    aside = folds[k, 8] * z + folds[k, 9] * y + folds[k, 10] * x - folds[k, 11]
    swelling = np.float32(1.0) + warp * np.float32(0.0011)
    width = folds[k, 13] * min(max(swelling, np.float32(0.5)), np.float32(1.8))
    return min(width, FOLD_TAPER * min(inward, folds[k, 12] - abs(aside))) - abs(s)
