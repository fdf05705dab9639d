"""Mitochondria, vesicles, debris and chromosomes: capsules (rods with round ends)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from volproc.compiled import Real, Whole, compiled
from volproc.stages.phantom.look import Look
from volproc.stages.phantom.noise import octaves, unit
from volproc.stages.phantom.scene import Tables
from volproc.stages.phantom.shapes import BLEBS, VILLI, Around, along_line, room_for, with_blebs

RESIN, CYTOPLASM, NUCLEUS = 0, 1, 2

PITCH_NM = 720.0  # a cube of this size has at most one of each kind
REACH_NM = 2_000.0  # no organelle reaches farther from the corner of its cube

# columns: 0-2 centre, 3-5 half axis, 6 radius, 7 wall, 8 grey inside, 9 grey of the wall,
# 10 depth of the cristae (negative: a solid body that hides its ground), 11 the ground it shows on,
# 12 how far its middle is bent aside
WIDTH = 13
CHROMOSOME = np.array([1.0, 131.0, 131.0, -1.0, CYTOPLASM, 0.0])  # columns 7 to 12
KINDS = 5

Array = npt.NDArray[np.float64]


@compiled
def _direction(k: Whole, j: Whole, i: Whole, salt: Whole) -> tuple[Real, Real, Real]:
    """A random direction, rather in plane than upright."""
    z = 1.2 * (unit(k, j, i, np.uint32(salt)) - 0.5)
    y = 2.0 * (unit(k, j, i, np.uint32(salt + 1)) - 0.5)
    x = 2.0 * (unit(k, j, i, np.uint32(salt + 2)) - 0.5)
    length = np.sqrt(z * z + y * y + x * x) + 1e-3
    return z / length, y / length, x / length


@compiled
def _propose(
    out: Array, kind: Whole, k: Whole, j: Whole, i: Whole, seed: Whole, look: Look
) -> bool:
    """Fill `out` with the capsule of one kind in cube (k, j, i); whether there is one."""
    salt = np.uint32(np.uint32(seed) + np.uint32(1000 + 16 * kind))
    a = unit(k, j, i, np.uint32(salt + np.uint32(3)))
    b = unit(k, j, i, np.uint32(salt + np.uint32(4)))
    c = unit(k, j, i, np.uint32(salt + np.uint32(5)))
    out[0] = (k + unit(k, j, i, np.uint32(salt + np.uint32(6)))) * PITCH_NM
    out[1] = (j + unit(k, j, i, np.uint32(salt + np.uint32(7)))) * PITCH_NM
    out[2] = (i + unit(k, j, i, np.uint32(salt + np.uint32(8)))) * PITCH_NM
    out[3:6] = 0.0
    out[10] = 0.0
    out[12] = 0.0
    out[11] = CYTOPLASM
    lighter = look.cytoplasm_grey - 150.0
    if kind == 0:  # a mitochondrion
        z, y, x = _direction(k, j, i, np.uint32(salt + np.uint32(9)))
        half = 150.0 + 650.0 * b * b
        out[3], out[4], out[5] = half * z, half * y, half * x
        out[6], out[7] = 130.0 + 110.0 * c, 26.0
        out[8], out[10] = lighter + look.mitochondria_grey + 14.0 * a, 10.0
        out[9] = out[8] - 14.0 * a - 20.0
        out[12] = 0.6 * half * (unit(k, j, i, np.uint32(salt + np.uint32(12))) - 0.5)
        return bool(a < 0.8 * look.organelles)
    if kind == 3:  # debris between the cells: a bleb that was shed, pale or full
        pale = b < 0.6
        out[6], out[7] = look.debris_size * (90.0 + 800.0 * c * c * c), 24.0
        out[8] = look.resin_grey - 11.0 if pale else look.cytoplasm_grey + 2.0
        out[9], out[11] = lighter + 128.0, RESIN
        return bool(a < 0.06 * look.debris)
    if kind == 4:  # a lysosome
        out[6], out[7] = 90.0 + 170.0 * c, 20.0
        out[8], out[9] = lighter + 98.0 + 30.0 * b, lighter + 110.0
        return bool(a < 0.04 * look.organelles)
    # small bright vesicles
    out[6], out[7] = 45.0 + 130.0 * c * c, 22.0
    out[8], out[9] = lighter + 168.0 + 28.0 * b, lighter + 124.0
    return bool(a < 0.4 * look.organelles)


@compiled
def _has_room(capsule: Array, around: Around, tables: Tables, seed: Whole) -> bool:
    """Whether its middle and both ends are in its ground, clear of the surfaces."""
    clear = capsule[6] + 50.0
    for end in range(-1, 2):
        z = capsule[0] + end * capsule[3]
        y = capsule[1] + end * capsule[4]
        x = capsule[2] + end * capsule[5]
        along_line(around, z, y, x, 0.0, tables)
        nucleus = around.nucleus[0]
        blebs = tables.look.ragged * octaves(z, y, x, BLEBS, seed)
        if tables.look.villi > 0.0:
            blebs += tables.look.villi * octaves(z, y, x, VILLI, seed)
        cell = with_blebs(around.cell[0], nucleus, blebs)
        if capsule[11] == RESIN:
            if cell < clear:
                return False
        elif cell > -clear - tables.look.bare_rim_nm or nucleus < clear:
            return False
        if capsule[3] == 0.0 and capsule[4] == 0.0 and capsule[5] == 0.0:
            return True
    return True


@compiled
def capsules_near(start: Array, stop: Array, tables: Tables, seed: Whole) -> Array:
    """All capsules that may reach into a region (nm), in the order in which they are drawn.

    Kind by kind, cube by cube in raster order: the same order whatever the region.
    """
    first = np.floor((start - REACH_NM) / PITCH_NM).astype(np.int64)
    last = np.floor((stop + REACH_NM) / PITCH_NM).astype(np.int64) + 1
    most = KINDS * (last - first).prod() + len(tables.rods)
    out = np.empty((most, WIDTH), np.float64)
    around = room_for(1)
    n = 0
    # Each cube proposes on its own, and a proposal stands if its ground has room for it: so what a
    # place shows never depends on what was drawn before, or on the region that is rendered.
    for kind in range(KINDS):
        for k in range(first[0], last[0]):
            for j in range(first[1], last[1]):
                for i in range(first[2], last[2]):
                    row = out[n]
                    if _propose(row, kind, k, j, i, seed, tables.look) and _reaches(
                        row, start, stop
                    ):
                        n += _has_room(row, around, tables, seed)
    for k in range(len(tables.rods)):
        out[n, :7] = tables.rods[k]
        out[n, 7:] = CHROMOSOME
        n += 1
    return out[:n].copy()


@compiled
def _reaches(capsule: Array, start: Array, stop: Array) -> bool:
    for axis in range(3):
        reach = abs(capsule[3 + axis]) + capsule[6] + abs(capsule[12]) + 100.0
        if capsule[axis] + reach < start[axis] or capsule[axis] - reach > stop[axis]:
            return False
    return True


@compiled
def _shade(
    c: Array, n: Whole, dz: Real, dy: Real, dx: Real, sharp: Real, grey: Real, plain: Real
) -> Real:
    """The grey of a voxel at (dz, dy, dx) from the centre of capsule `n`, over ground of `grey`.

    `plain` is the grey of that ground without its texture.
    """
    # t: where along the rod the voxel is, from -1 to 1; 0 in a ball, whose half axis is 0
    length2 = c[n, 3] * c[n, 3] + c[n, 4] * c[n, 4] + c[n, 5] * c[n, 5]
    t = 0.0
    if length2 > 0.0:
        t = (dz * c[n, 3] + dy * c[n, 4] + dx * c[n, 5]) / length2
    at = min(max(t, -1.0), 1.0)
    if c[n, 12] != 0.0:
        # bent in plane: the middle goes aside, the ends stay
        aside = c[n, 12] * (1.0 - at * at) / np.sqrt(length2)
        dy, dx = dy - aside * c[n, 5], dx + aside * c[n, 4]
    rz, ry, rx = dz - at * c[n, 3], dy - at * c[n, 4], dx - at * c[n, 5]
    inside2 = rz * rz + ry * ry + rx * rx
    reach = c[n, 6] + sharp
    if inside2 > reach * reach:
        return grey
    depth = c[n, 6] - np.sqrt(inside2)
    cover = min(max(depth / sharp + 0.5, 0.0), 1.0)
    wall = min(max((c[n, 7] - depth) / sharp + 0.5, 0.0), 1.0)
    own = c[n, 8] + wall * (c[n, 9] - c[n, 8])
    if c[n, 10] > 0.0 and depth > c[n, 7]:
        # cristae: dark sheets across the rod every 85 nm, slanted
        turn = (t * np.sqrt(length2) + 0.5 * ry) / 85.0 + rx * ry / (c[n, 6] * c[n, 6])
        wave = abs(turn - np.floor(turn) - 0.5) * 4.0 - 1.0
        own -= c[n, 10] * wave * 10.0 / max(sharp, 10.0)
    # some of the ground's own texture shows through, so that capsules do not look painted on
    texture = (0.4 if c[n, 11] == CYTOPLASM else 0.3) * (grey - plain)
    if c[n, 10] < 0.0:
        texture *= 0.2
    return grey + cover * (own + texture - grey)


@compiled
def draw_capsules(
    grey: npt.NDArray[np.float32],
    ground: npt.NDArray[np.uint8],
    capsules: Array,
    z_nm: Real,
    first: npt.NDArray[np.int64],
    voxel_nm: Array,
    look: Look,
) -> None:
    """Capsules that meet the slice at `z_nm`, onto its grey levels, in place."""
    rows, columns = grey.shape
    sharp = max(10.0, np.sqrt(voxel_nm[1] * voxel_nm[2]) + look.blur_nm)
    c = capsules
    for n in range(len(c)):
        if abs(z_nm - c[n, 0]) > abs(c[n, 3]) + c[n, 6] + sharp:
            continue
        plain = look.cytoplasm_grey if c[n, 11] == CYTOPLASM else look.resin_grey - 3.0
        around = c[n, 6] + sharp + abs(c[n, 12])
        reach_y, reach_x = abs(c[n, 4]) + around, abs(c[n, 5]) + around
        y0 = max(0, int(np.floor((c[n, 1] - reach_y) / voxel_nm[1])) - first[1])
        y1 = min(rows, int(np.floor((c[n, 1] + reach_y) / voxel_nm[1])) + 1 - first[1])
        x0 = max(0, int(np.floor((c[n, 2] - reach_x) / voxel_nm[2])) - first[2])
        x1 = min(columns, int(np.floor((c[n, 2] + reach_x) / voxel_nm[2])) + 1 - first[2])
        for j in range(y0, y1):
            dy = (first[1] + j + 0.5) * voxel_nm[1] - c[n, 1]
            for i in range(x0, x1):
                if ground[j, i] == c[n, 11]:
                    dx = (first[2] + i + 0.5) * voxel_nm[2] - c[n, 2]
                    grey[j, i] = _shade(c, n, z_nm - c[n, 0], dy, dx, sharp, grey[j, i], plain)
