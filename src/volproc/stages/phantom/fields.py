"""Smooth fields of a scene on a lattice of 100 nm, from which every voxel is interpolated.

    o - - - - - o - - - - - o    o: lattice points, 100 nm apart, from the volume's corner on
    | . . . . . | . . . . . |    .: voxels, whatever their size: each is a blend of the 8 lattice
    | . . . . . | . . . . . |       points around it, which is 20 to 1000 times cheaper than the
    o - - - - - o - - - - - o       noise itself

The lattice counts in nm, so it is the same for every block and every voxel size. Values are
signed distances in nm (negative inside) or grey levels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from volproc.compiled import Real, Whole, compiled
from volproc.grid.box import Shape, each
from volproc.stages.phantom.look import Look
from volproc.stages.phantom.noise import add_octaves, hashed
from volproc.stages.phantom.scene import Tables
from volproc.stages.phantom.shapes import (
    BLEBS,
    LUMPS,
    VILLI,
    Around,
    along_line,
    fold_depth,
    room_for,
    to_lump,
    with_blebs,
)

LATTICE_NM = 100.0

RETICULUM_WAVES = np.array([[850.0, 700.0, 30], [450.0, 190.0, 31]])
WARP_WAVES = np.array([[4000.0, 1800.0, 40], [1500.0, 800.0, 41]])
CLUMPS = np.array([[900.0, 1.0, 10]])
CHROMATIN = np.array([[3600.0, 12.0, 11]])
CYTOPLASM_TONE = np.array([[2600.0, 18.0, 12]])
RESIN_TONE = np.array([[9000.0, 1.0, 20]])
SMEARS = np.array([[7000.0, 1.0, 21]])

Array = npt.NDArray[np.float32]


# which of the smooth fields is which
TO_NUCLEUS = 0  # distance to the surface of the nearest nucleus, folds not yet cut in
TO_CELL = 1  # distance to the surface of the nearest cell
TO_RETICULUM = 2  # distance to the nearest sheet of endoplasmic reticulum
WARP = 3  # how far folds are displaced, nm
IN_NUCLEUS, IN_CYTOPLASM, IN_RESIN = 4, 5, 6  # grey levels added to the three kinds of ground
SMOOTH_FIELDS = 7


class Fields(NamedTuple):
    """Values per lattice point."""

    smooth: Array  # (SMOOTH_FIELDS, z, y, x)
    owner: npt.NDArray[np.int32]  # the nearest nucleus's row in the tables
    near_folds: npt.NDArray[np.uint32]  # bit k: fold k of the owner may matter within one step


def make_fields(first: Shape, count: Shape, tables: Tables, *, seed: int) -> Fields:
    """The fields at `count` lattice points per axis from `first` on."""
    # slopes need one point more on each side
    wide = Fields(
        np.zeros((SMOOTH_FIELDS, *each(lambda n: n + 2, count)), np.float32),
        np.zeros(each(lambda n: n + 2, count), np.int32),
        np.zeros(each(lambda n: n + 2, count), np.uint32),
    )
    _fill(wide, np.array(first) - 1, tables, np.uint32(seed & 0xFFFFFFFF))
    inner = (slice(1, -1),) * 3
    smooth = np.ascontiguousarray(wide.smooth[:, *inner])
    # noise is a distance only near its zeros, and there up to its slope
    for field, lowest in ((TO_NUCLEUS, 0.6), (TO_CELL, 0.5), (TO_RETICULUM, 0.25)):
        _scale_to_slope(smooth[field], wide.smooth[field], lowest)
    return Fields(
        smooth,
        np.ascontiguousarray(wide.owner[inner]),
        np.ascontiguousarray(wide.near_folds[inner]),
    )


@compiled
def _fill(fields: Fields, first: npt.NDArray[np.int64], tables: Tables, seed: Whole) -> None:
    """Every field at every lattice point, distances not yet scaled to their slope."""
    depth, rows, columns = fields.owner.shape
    waves = np.empty((10, columns))
    around = room_for(columns)
    x = first[2] * LATTICE_NM
    for k in range(depth):
        z = (first[0] + k) * LATTICE_NM
        for j in range(rows):
            y = (first[1] + j) * LATTICE_NM
            along_line(around, z, y, x, LATTICE_NM, tables)
            waves[:] = 0.0
            add_octaves(waves[0], z, y, x, LATTICE_NM, BLEBS, seed)
            add_octaves(waves[1], z, y, x, LATTICE_NM, RETICULUM_WAVES, seed)
            add_octaves(waves[2], z, y, x, LATTICE_NM, WARP_WAVES, seed)
            add_octaves(waves[3], z, y, x, LATTICE_NM, CLUMPS, seed)
            add_octaves(waves[4], z, y, x, LATTICE_NM, CHROMATIN, seed)
            add_octaves(waves[5], z, y, x, LATTICE_NM, CYTOPLASM_TONE, seed)
            add_octaves(waves[6], z, y, x, LATTICE_NM, RESIN_TONE, seed)
            add_octaves(waves[7], z, y, x, LATTICE_NM, SMEARS, seed)
            if tables.look.villi > 0.0:
                add_octaves(waves[8], z, y, x, LATTICE_NM, VILLI, seed)
            if tables.look.lumps > 0.0:
                add_octaves(waves[9], z, y, x, LATTICE_NM, LUMPS, seed)
            line = fields.smooth[:, k, j]
            _fill_line(line, around, waves, first[0] + k, first[1] + j, first[2], seed, tables.look)
            fields.owner[k, j] = around.owner
            _fill_nuclei(line, fields.near_folds[k, j], around, waves, z, y, x, tables)


@compiled
def _fill_line(
    line: Array,
    around: Around,
    waves: npt.NDArray[np.float64],
    k: Whole,
    j: Whole,
    first: Whole,
    seed: Whole,
    look: Look,
) -> None:
    """The smooth fields along a line; those inside nuclei lack what `_fill_nuclei` adds."""
    for i in range(line.shape[1]):
        nucleus = around.nucleus[i]
        grain = look.grain * _grain(k, j, first + i, seed)
        # slow changes, and the dark smears that charging leaves in empty resin: a smear is where
        # one noise passes 0 while another one is bright
        smear = max(0.0, 1.0 - abs(waves[7, i]) / 0.09) * max(0.0, waves[6, i] - 0.05)
        line[TO_NUCLEUS, i] = nucleus
        line[TO_CELL, i] = with_blebs(
            around.cell[i], nucleus, look.ragged * waves[0, i] + look.villi * waves[8, i]
        )
        if look.lumps > 0.0:
            line[TO_CELL, i] = min(line[TO_CELL, i], to_lump(waves[9, i], look.lumps))
        line[TO_RETICULUM, i] = waves[1, i]
        line[WARP, i] = waves[2, i]
        clumps = look.chromatin * 22.0 * max(0.0, waves[3, i] - 0.12)
        line[IN_NUCLEUS, i] = grain + look.chromatin * waves[4, i] - clumps
        line[IN_CYTOPLASM, i] = 1.4 * grain + waves[5, i]
        line[IN_RESIN, i] = (
            0.5 * grain + look.resin_tone * 14.0 * waves[6, i] - look.charging * 260.0 * smear
        )


@compiled
def _fill_nuclei(
    line: Array,
    near_folds: npt.NDArray[np.uint32],
    around: Around,
    waves: npt.NDArray[np.float64],
    z: Real,
    y: Real,
    x: Real,
    tables: Tables,
) -> None:
    """Nucleoli, and bits of the folds whose cytoplasm or envelope may be a lattice step away."""
    for i in range(line.shape[1]):
        if around.nucleus[i] > 300.0:  # no voxel between here and the next point is inside one
            continue
        owner = around.owner[i]
        at_x = x + i * LATTICE_NM
        line[IN_NUCLEUS, i] -= _nucleoli(z, y, at_x, tables, owner, waves[3, i])
        dz = np.float32(z - tables.cells[owner, 0])
        dy = np.float32(y - tables.cells[owner, 1])
        dx = np.float32(at_x - tables.cells[owner, 2])
        first, bits = tables.fold_first[owner], np.uint32(0)
        for k in range(first, tables.fold_first[owner + 1]):
            # a lattice step is 173 nm across; no depth changes by 500 nm over it
            if fold_depth(tables.folds, k, dz, dy, dx, np.float32(waves[2, i])) > -600.0:
                bits = np.uint32(bits | (np.uint32(1) << np.uint32(k - first)))
        near_folds[i] = bits


@compiled
def _nucleoli(z: Real, y: Real, x: Real, tables: Tables, owner: Whole, clump: Real) -> Real:
    """How much darker the owner's nucleoli make a place."""
    darker = 0.0
    n = tables.nucleoli
    for k in range(tables.nucleolus_first[owner], tables.nucleolus_first[owner + 1]):
        dz, dy, dx = z - n[k, 0], y - n[k, 1], x - n[k, 2]
        r = np.sqrt(dz * dz + dy * dy + dx * dx)
        inside = (n[k, 3] * (1.0 + 0.9 * clump) - r) / 500.0
        darker += tables.look.nucleoli * min(max(inside, 0.0), 1.0)
    return darker


@compiled
def _grain(z: Whole, y: Whole, x: Whole, seed: Whole) -> Real:
    """Texture as fine as the lattice: grey levels of spread 6."""
    h = hashed(z, y, x, np.uint32(np.uint32(seed) + np.uint32(9)))
    one = np.float64(np.uint32(h & np.uint32(0xFFFF)))
    two = np.float64(np.uint32(h >> np.uint32(16)))
    return (one + two - 65535.0) * (6.0 / 26755.0)


@compiled
def _scale_to_slope(out: Array, values: Array, lowest: Real) -> None:
    """Distances divided by their own slope, so that equal steps are equal nm.

    Slopes below `lowest` or above 3 count as these. `values` has a rim of one point more.
    """
    depth, rows, columns = out.shape
    for k in range(depth):
        for j in range(rows):
            for i in range(columns):
                dz = values[k + 2, j + 1, i + 1] - values[k, j + 1, i + 1]
                dy = values[k + 1, j + 2, i + 1] - values[k + 1, j, i + 1]
                dx = values[k + 1, j + 1, i + 2] - values[k + 1, j + 1, i]
                slope = np.sqrt(dz * dz + dy * dy + dx * dx) / np.float32(2.0 * LATTICE_NM)
                out[k, j, i] /= min(max(slope, np.float32(lowest)), np.float32(3.0))
