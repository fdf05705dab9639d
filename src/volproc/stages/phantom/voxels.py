"""The loops over voxels: what ground a voxel is on, its grey level and its ground truth."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from volproc.compiled import Real, Whole, compiled
from volproc.stages.phantom.fields import (
    IN_CYTOPLASM,
    IN_NUCLEUS,
    IN_RESIN,
    SMOOTH_FIELDS,
    TO_CELL,
    TO_NUCLEUS,
    TO_RETICULUM,
    WARP,
    Array,
    Fields,
)
from volproc.stages.phantom.look import Look
from volproc.stages.phantom.organelles import CYTOPLASM, NUCLEUS, RESIN
from volproc.stages.phantom.scene import Tables
from volproc.stages.phantom.shapes import fold_depth

Indices = npt.NDArray[np.int64]
Places = npt.NDArray[np.float64]

LAMELLA_NM = np.float32(320.0)  # of the sheet along a nucleus, from it

# tables of grey levels by distance: entry i is for (i - OFFSET) * STEP nm
STEP_NM = 2.0
OFFSET = 300


class Lines(NamedTuple):
    """What membranes add to the grey level, by distance in nm, as wide voxels see it."""

    envelope: Array
    plasma: Array
    reticulum: Array
    lamella: Array
    half_width: np.float32  # of a voxel in plane, blur included, nm
    resin_grey: np.float32
    cytoplasm_grey: np.float32
    nucleus_grey: np.float32


class Steps(NamedTuple):
    """Where the voxels of a box are on its lattice: index and fraction per axis, and in nm."""

    place: tuple[Indices, Indices, Indices]
    fraction: tuple[Array, Array, Array]
    nm: tuple[Places, Places, Places]


@lru_cache(maxsize=8)
def membrane_lines(voxel_nm: float, look: Look) -> Lines:
    """Profiles of the membranes, averaged over voxels `voxel_nm` wide in plane and their blur."""
    width_nm = voxel_nm + look.blur_nm
    fine = np.arange(-OFFSET, OFFSET) * STEP_NM
    box = np.ones(max(1, round(width_nm / STEP_NM) | 1))

    def seen(profile: npt.NDArray[np.floating]) -> Array:
        return np.convolve(profile, box / box.size, mode="same").astype(np.float32)

    # two membranes and the lighter cleft between; beneath them heterochromatin
    thick, dark = look.envelope_nm, look.membranes
    inside = (fine < 0) & (fine >= -thick)
    cleft = (fine < -25) & (fine >= -thick + 25)
    rim = np.clip(1 - (-fine - thick) / 240, 0, 1) * (fine < -thick)
    envelope = dark * (-34.0 * inside + 17.0 * cleft) - look.heterochromatin * rim
    plasma = dark * -30.0 * ((fine < 0) & (fine >= -28))
    # a flat sack: two membranes, and what is between them
    reticulum = -32.0 * (np.abs(fine) < 34) + 24.0 * (np.abs(fine) < 12)
    return Lines(
        seen(envelope),
        seen(plasma),
        seen(look.reticulum * reticulum),
        seen(look.lamellae * reticulum),
        np.float32(width_nm / 2),
        np.float32(look.resin_grey),
        np.float32(look.cytoplasm_grey),
        np.float32(look.nucleus_grey),
    )


@compiled
def _look_up(table: Array, nm: Real) -> Real:
    at = int(nm * np.float32(1.0 / STEP_NM) + np.float32(OFFSET))
    return table[min(max(at, 0), len(table) - 1)]


@compiled
def _between(row: Array, i: Whole, t: Real) -> Real:
    return row[i] + t * (row[i + 1] - row[i])


@compiled
def _blend(out: Array, a: Array, b: Array, t: Real) -> None:
    for i in range(len(out)):
        out[i] = a[i] + t * (b[i] - a[i])


@compiled
def _deepest_fold(
    tables: Tables, owner: Whole, bits: Whole, z: Real, y: Real, x: Real, warp: Real
) -> Real:
    """Depth in the deepest of the owner's folds marked in `bits`."""
    c, folds = tables.cells, tables.folds
    rz, ry, rx = (
        np.float32(z - c[owner, 0]), np.float32(y - c[owner, 1]), np.float32(x - c[owner, 2])
    )  # fmt: skip
    deepest = np.float32(-1e6)
    for k in range(tables.fold_first[owner], tables.fold_first[owner + 1]):
        if bits & np.uint32(1):
            deepest = max(deepest, fold_depth(folds, k, rz, ry, rx, warp))
        bits = np.uint32(bits >> np.uint32(1))
    return deepest


@compiled
def draw_ground(
    grey: Array,
    ground: npt.NDArray[np.uint8],
    truth: npt.NDArray[Any],
    fields: Fields,
    tables: Tables,
    lines: Lines,
    k: Whole,
    steps: Steps,
) -> None:
    """Grey level (noiseless), ground and truth of slice `k`, into the first three arrays."""
    # blended axis by axis: z once per slice, y once per row, x only for the fields a voxel needs
    kz = steps.place[0][k]
    plane = np.empty((SMOOTH_FIELDS, *fields.owner.shape[1:]), np.float32)
    row = np.empty((SMOOTH_FIELDS, plane.shape[2]), np.float32)
    for n in range(SMOOTH_FIELDS):
        for j in range(plane.shape[1]):
            low, high = fields.smooth[n, kz, j], fields.smooth[n, kz + 1, j]
            _blend(plane[n, j], low, high, steps.fraction[0][k])
    for j in range(grey.shape[0]):
        jy = steps.place[1][j]
        for n in range(SMOOTH_FIELDS):
            _blend(row[n], plane[n, jy], plane[n, jy + 1], steps.fraction[1][j])
        for i in range(grey.shape[1]):
            ix, t = steps.place[2][i], steps.fraction[2][i]
            outside = _between(row[TO_CELL], ix, t)
            resin = lines.resin_grey + _between(row[IN_RESIN], ix, t)
            truth[j, i] = 0
            if outside >= lines.half_width:  # most voxels are done here
                ground[j, i], grey[j, i] = RESIN, resin
                continue
            depth = _between(row[TO_NUCLEUS], ix, t)
            if depth < 0:
                # a fold costs more than all fields: only those within reach of this lattice cube
                bits = fields.near_folds[kz, jy, ix]
                owner = fields.owner[kz, jy, ix]
                if bits:
                    z, y, x = steps.nm[0][k], steps.nm[1][j], steps.nm[2][i]
                    warp = _between(row[WARP], ix, t)
                    depth = max(depth, _deepest_fold(tables, owner, bits, z, y, x, warp))
                if depth < 0:
                    truth[j, i] = tables.ids[owner]
                    ground[j, i] = NUCLEUS
                    tone = lines.nucleus_grey + _between(row[IN_NUCLEUS], ix, t)
                    grey[j, i] = tone + _look_up(lines.envelope, depth)
                    continue
            tone = _between(row[IN_CYTOPLASM], ix, t)
            value = _cytoplasm(lines, tone, _between(row[TO_RETICULUM], ix, t), depth, outside)
            if outside > -lines.half_width:  # the surface runs through the voxel: it shows both
                share = np.float32(0.5) - np.float32(0.5) * outside / lines.half_width
                value = resin + share * (value - resin)
            ground[j, i] = CYTOPLASM if outside < 0 else RESIN
            grey[j, i] = value


@compiled
def _cytoplasm(
    lines: Lines, tone: Real, to_reticulum: Real, to_nucleus: Real, outside: Real
) -> Real:
    """Grey level in a cell, by the distances to the membranes that pass there."""
    # the darker parts are those rich in reticulum
    rich = min(max(np.float32(0.6) - tone * np.float32(0.08), np.float32(0.0)), np.float32(1.0))
    value = lines.cytoplasm_grey + tone + rich * _look_up(lines.reticulum, to_reticulum)
    if lines.lamella[OFFSET] != 0.0:
        # a sheet that follows the nucleus, nearer here and farther there
        along = to_nucleus - LAMELLA_NM + np.float32(0.5) * to_reticulum
        value += _look_up(lines.lamella, along)
    return value + _look_up(lines.envelope, to_nucleus) + _look_up(lines.plasma, outside)


@compiled
def voxels_per_id(truth: npt.NDArray[Any], count: Whole) -> npt.NDArray[np.int64]:
    """How many voxels have each id below `count`."""
    found = np.zeros(count, np.int64)
    for label in truth.flat:
        found[label] += 1
    return found
