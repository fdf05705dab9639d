"""The loops over voxels: what ground a voxel is, its grey level, and the sensor's noise."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from volproc.stages.phantom.fields import ENVELOPE_NM, Array, Fields, fold_distance
from volproc.stages.phantom.noise import mixed
from volproc.stages.phantom.organelles import CYTOPLASM, NUCLEUS, RESIN
from volproc.stages.phantom.tables import Tables

RESIN_GREY = np.float32(203.0)
CYTOPLASM_GREY = np.float32(151.0)
NUCLEUS_GREY = np.float32(156.0)

# tables of grey levels by distance: entry i is for (i - OFFSET) * STEP nm
STEP_NM = 2.0
OFFSET = 300


class Lines(NamedTuple):
    """What membranes add to the grey level, by distance in nm, as wide voxels see it."""

    envelope: Array
    plasma: Array
    reticulum: Array
    width_nm: float


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
    reticulum = -26.0 * (np.abs(fine) < 18)
    return Lines(seen(envelope), seen(plasma), seen(reticulum), float(width_nm))


@njit(cache=True, nogil=True, inline="always")
def _look_up(table: Array, nm: float) -> float:
    at = int(nm * np.float32(1.0 / STEP_NM) + np.float32(OFFSET))
    return table[min(max(at, 0), len(table) - 1)]


@njit(cache=True, nogil=True, inline="always")
def _between(row: Array, i: int, t: float) -> float:
    return row[i] + t * (row[i + 1] - row[i])


@njit(cache=True, nogil=True)
def _blend(out: Array, a: Array, b: Array, t: float) -> None:
    for i in range(len(out)):
        out[i] = a[i] + t * (b[i] - a[i])


@njit(cache=True, nogil=True)
def deepest_fold(tables: Tables, owner: int, bits: int, z: float, y: float, x: float, warp: float) -> float:
    """Depth in the deepest of the owner's folds marked in `bits`."""
    c = tables.cells[owner]
    rz, ry, rx = np.float32(z - c[0]), np.float32(y - c[1]), np.float32(x - c[2])
    deepest = np.float32(-1e6)
    for k in range(tables.fold_first[owner], tables.fold_first[owner + 1]):
        if bits & np.uint32(1):
            deepest = max(deepest, fold_distance(tables.folds[k], rz, ry, rx, warp))
        bits = np.uint32(bits >> np.uint32(1))
    return deepest


@njit(cache=True, nogil=True)
def draw_ground(grey, ground, truth, fields, tables, lines, k, index, fraction, nm):
    """Grey level (noiseless), ground and truth of slice `k`, into the first three arrays."""
    (iz, iy, ix), (tz, ty, tx), (nm_z, nm_y, nm_x) = index, fraction, nm
    kz = iz[k]
    planes = np.empty((7, *fields.nucleus.shape[1:]), np.float32)
    pairs = (fields.nucleus, fields.cell, fields.reticulum, fields.warp, fields.in_nucleus, fields.in_cytoplasm, fields.in_resin)
    for n in range(7):
        for j in range(planes.shape[1]):
            _blend(planes[n, j], pairs[n][kz, j], pairs[n][kz + 1, j], tz[k])
    row = np.empty((7, planes.shape[2]), np.float32)
    nucleus, cell, reticulum, warp, in_nucleus, in_cytoplasm, in_resin = row[0], row[1], row[2], row[3], row[4], row[5], row[6]
    half = np.float32(0.5 * lines.width_nm)
    for j in range(len(iy)):
        jy = iy[j]
        for n in range(7):
            _blend(row[n], planes[n, jy], planes[n, jy + 1], ty[j])
        for i in range(len(ix)):
            a, t = ix[i], tx[i]
            outside = _between(cell, a, t)
            truth[j, i] = 0
            if outside >= half:
                ground[j, i] = RESIN
                grey[j, i] = RESIN_GREY + _between(in_resin, a, t)
                continue
            depth = _between(nucleus, a, t)
            if depth < 0:
                owner = fields.owner[kz, jy, a]
                bits = fields.near_folds[kz, jy, a]
                if bits:
                    fold = deepest_fold(tables, owner, bits, nm_z[k], nm_y[j], nm_x[i], _between(warp, a, t))
                    depth = max(depth, fold)
                if depth < 0:
                    truth[j, i] = tables.ids[owner]
                    ground[j, i] = NUCLEUS
                    grey[j, i] = NUCLEUS_GREY + _between(in_nucleus, a, t) + _look_up(lines.envelope, depth)
                    continue
            value = CYTOPLASM_GREY + _between(in_cytoplasm, a, t)
            value += _look_up(lines.reticulum, _between(reticulum, a, t))
            value += _look_up(lines.envelope, depth) + _look_up(lines.plasma, outside)
            ground[j, i] = CYTOPLASM if outside < 0 else RESIN
            if outside > -half:
                cover = np.float32(0.5) - outside / np.float32(lines.width_nm)
                value = cover * value + (1 - cover) * (RESIN_GREY + _between(in_resin, a, t))
            grey[j, i] = value


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _smeared_row(out, raw, z, y, first, side, seed):
    _noise_row(raw, z, y, first - 1, seed)
    for i in range(len(out)):
        out[i] = raw[i + 1] + side * (raw[i] + raw[i + 2])


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def voxels_per_id(truth, count):
    """How many voxels hold each id below `count`."""
    found = np.zeros(count, np.int64)
    for label in truth.flat:
        found[label] += 1
    return found
