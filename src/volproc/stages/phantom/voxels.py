"""The loops over voxels: what ground a voxel is, its grey level, and the sensor's noise."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from volproc.stages.phantom.compiled import compiled
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
from volproc.stages.phantom.noise import mixed
from volproc.stages.phantom.organelles import CYTOPLASM, NUCLEUS, RESIN
from volproc.stages.phantom.shapes import fold_depth
from volproc.stages.phantom.tables import Tables

RESIN_GREY = np.float32(203.0)
CYTOPLASM_GREY = np.float32(150.0)
NUCLEUS_GREY = np.float32(156.0)

Indices = npt.NDArray[np.int64]
Places = npt.NDArray[np.float64]

ENVELOPE_NM = 77.0  # median of the expert's tracing of ROI_1656-6756-329

# tables of grey levels by distance: entry i is for (i - OFFSET) * STEP nm
STEP_NM = 2.0
OFFSET = 300


class Lines(NamedTuple):
    """What membranes add to the grey level, by distance in nm, as wide voxels see it."""

    envelope: Array
    plasma: Array
    reticulum: Array
    half_width: np.float32  # of a voxel in plane, nm


class Steps(NamedTuple):
    """Where the voxels of a box lie on its lattice: index and fraction per axis, and in nm."""

    index: tuple[Indices, Indices, Indices]
    fraction: tuple[Array, Array, Array]
    nm: tuple[Places, Places, Places]


@lru_cache(maxsize=8)
def membrane_lines(width_nm: float) -> Lines:
    """Profiles of the membranes, averaged over voxels `width_nm` wide in plane."""
    fine = np.arange(-OFFSET, OFFSET) * STEP_NM
    box = np.ones(max(1, round(width_nm / STEP_NM) | 1))

    def seen(profile: npt.NDArray[np.float64]) -> Array:
        return np.convolve(profile, box / box.size, mode="same").astype(np.float32)

    # two membranes and the lighter cleft between; beneath them heterochromatin
    inside = (fine < 0) & (fine >= -ENVELOPE_NM)
    cleft = (fine < -25) & (fine >= -ENVELOPE_NM + 25)
    rim = np.clip(1 - (-fine - ENVELOPE_NM) / 240, 0, 1) * (fine < -ENVELOPE_NM)
    envelope = -34.0 * inside + 17.0 * cleft - 8.0 * rim
    plasma = -30.0 * ((fine < 0) & (fine >= -28))
    # a flat sack: two membranes, and what lies between them
    reticulum = -32.0 * (np.abs(fine) < 34) + 24.0 * (np.abs(fine) < 12)
    return Lines(seen(envelope), seen(plasma), seen(reticulum), np.float32(width_nm / 2))


@compiled
def _look_up(table: Array, nm: float) -> float:
    at = int(nm * np.float32(1.0 / STEP_NM) + np.float32(OFFSET))
    return table[min(max(at, 0), len(table) - 1)]


@compiled
def _between(row: Array, i: int, t: float) -> float:
    return row[i] + t * (row[i + 1] - row[i])


@compiled
def _blend(out: Array, a: Array, b: Array, t: float) -> None:
    for i in range(len(out)):
        out[i] = a[i] + t * (b[i] - a[i])


@compiled
def _deepest_fold(tables: Tables, owner: int, bits: int, z: float, y: float, x: float, warp: float) -> float:
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
    k: int,
    steps: Steps,
) -> None:
    """Grey level (noiseless), ground and truth of slice `k`, into the first three arrays."""
    kz = steps.index[0][k]
    plane = np.empty((SMOOTH_FIELDS, *fields.owner.shape[1:]), np.float32)
    row = np.empty((SMOOTH_FIELDS, plane.shape[2]), np.float32)
    for n in range(SMOOTH_FIELDS):
        for j in range(plane.shape[1]):
            low, high = fields.smooth[n, kz, j], fields.smooth[n, kz + 1, j]
            _blend(plane[n, j], low, high, steps.fraction[0][k])
    for j in range(grey.shape[0]):
        jy = steps.index[1][j]
        for n in range(SMOOTH_FIELDS):
            _blend(row[n], plane[n, jy], plane[n, jy + 1], steps.fraction[1][j])
        for i in range(grey.shape[1]):
            ix, t = steps.index[2][i], steps.fraction[2][i]
            outside = _between(row[TO_CELL], ix, t)
            resin = RESIN_GREY + _between(row[IN_RESIN], ix, t)
            truth[j, i] = 0
            if outside >= lines.half_width:
                ground[j, i], grey[j, i] = RESIN, resin
                continue
            depth = _between(row[TO_NUCLEUS], ix, t)
            if depth < 0:
                bits = fields.near_folds[kz, jy, ix]
                owner = fields.owner[kz, jy, ix]
                if bits:
                    z, y, x = steps.nm[0][k], steps.nm[1][j], steps.nm[2][i]
                    warp = _between(row[WARP], ix, t)
                    depth = max(depth, _deepest_fold(tables, owner, bits, z, y, x, warp))
                if depth < 0:
                    truth[j, i] = tables.ids[owner]
                    ground[j, i] = NUCLEUS
                    tone = NUCLEUS_GREY + _between(row[IN_NUCLEUS], ix, t)
                    grey[j, i] = tone + _look_up(lines.envelope, depth)
                    continue
            tone = _between(row[IN_CYTOPLASM], ix, t)
            value = _cytoplasm(lines, tone, _between(row[TO_RETICULUM], ix, t), depth, outside)
            if outside > -lines.half_width:
                share = np.float32(0.5) - np.float32(0.5) * outside / lines.half_width
                value = resin + share * (value - resin)
            ground[j, i] = CYTOPLASM if outside < 0 else RESIN
            grey[j, i] = value


@compiled
def _cytoplasm(
    lines: Lines, tone: float, to_reticulum: float, to_nucleus: float, outside: float
) -> float:
    """Grey level in a cell, by the distances to the membranes that pass there."""
    # the darker parts are those rich in reticulum
    rich = min(max(np.float32(0.6) - tone * np.float32(0.08), np.float32(0.0)), np.float32(1.0))
    value = CYTOPLASM_GREY + tone + rich * _look_up(lines.reticulum, to_reticulum)
    return value + _look_up(lines.envelope, to_nucleus) + _look_up(lines.plasma, outside)


@compiled
def _noise_row(out, z, y, first, seed):
    """Random numbers of spread 1 for the voxels `first`, first + 1, ... of a row."""
    base = mixed(np.uint32(np.uint32(seed) ^ np.uint32(np.uint32(z) * np.uint32(0x9E3779B1))))
    base = mixed(np.uint32(base ^ np.uint32(np.uint32(y) * np.uint32(0x85EBCA77))))
    for i in range(len(out)):
        h = mixed(np.uint32(base + np.uint32(np.uint32(first + i) * np.uint32(0xC2B2AE3D))))
        four = (h & np.uint32(255)) + ((h >> np.uint32(8)) & np.uint32(255))
        four += ((h >> np.uint32(16)) & np.uint32(255)) + (h >> np.uint32(24))
        # four bytes: mean 510, variance 4 * (256**2 - 1) / 12
        out[i] = (np.float32(np.int32(four)) - np.float32(510.0)) * np.float32(1.0 / 147.8)


@compiled
def _smeared_row(out, raw, z, y, first, side, seed):
    _noise_row(raw, z, y, first - 1, seed)
    for i in range(len(out)):
        out[i] = raw[i + 1] + side * (raw[i] + raw[i + 2])


@compiled
def add_noise(image, grey, offsets, z, first, side, spread, seed):
    """Grey levels as the sensor gives them: each row's offset and noise added, rounded, clipped.

    `side` is the share of a neighbour's noise that a voxel sees too; `spread` the noise's.
    """
    rows, columns = grey.shape
    raw = np.empty(columns + 2, np.float32)
    ring = np.empty((3, columns), np.float32)
    side = np.float32(side)
    scale = np.float32(spread / (1 + 2 * side * side))
    for n in range(-1, 1):
        _smeared_row(ring[(n + 3) % 3], raw, z, first[1] + n, first[2], side, seed)
    for j in range(rows):
        _smeared_row(ring[(j + 1) % 3], raw, z, first[1] + j + 1, first[2], side, seed)
        above, here, below = ring[(j + 2) % 3], ring[j % 3], ring[(j + 1) % 3]
        offset = np.float32(offsets[j] + 0.5)
        for i in range(columns):
            noise = here[i] + side * (above[i] + below[i])
            value = grey[j, i] + offset + scale * noise
            image[j, i] = np.uint8(min(max(value, np.float32(0.0)), np.float32(255.0)))


@compiled
def voxels_per_id(truth, count):
    """How many voxels hold each id below `count`."""
    found = np.zeros(count, np.int64)
    for label in truth.flat:
        found[label] += 1
    return found
