"""Area and volume of surfaces, in whole numbers: they add up exactly over blocks, in any order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm
from volproc.stages.measure.mesh.isosurface import HALF, PARTS, Codes, Indices, Surface, points

Sums = npt.NDArray[np.int64]
"""Rows of TRIANGLES, AREA, CUT, VOLUME."""
TRIANGLES, AREA, CUT, VOLUME = range(4)
COLUMNS = 4

PER_NM2 = 1024
"""Areas are summed in 1024ths of a nm²."""
PER_VOXEL = 6 * PARTS**3
"""Volumes are summed in sixths of a cube of a 256th of a voxel; exact up to 9e10 voxels."""


def surface_sums(surface: Surface, *, shape: Shape, voxel_nm: VoxelNm) -> Sums:
    """Number of triangles, area, area of it on the volume's border, volume; shape (4,)."""
    sums = np.zeros(COLUMNS, dtype=np.int64)
    _add(points(surface, shape=shape), surface.triangles, voxel_nm, shape, sums)
    return sums


def areas_um2(sums: Sums) -> npt.NDArray[np.float64]:
    """Area of each object without what the volume's border cuts, from rows of `Sums`; um²."""
    own: npt.NDArray[np.float64] = (sums[:, AREA] - sums[:, CUT]) / (PER_NM2 * 1e6)
    return own


def cuts_um2(sums: Sums) -> npt.NDArray[np.float64]:
    """Area of each object on the volume's border; 0 where it is left open; um²."""
    cut: npt.NDArray[np.float64] = sums[:, CUT] / (PER_NM2 * 1e6)
    return cut


def volumes_um3(sums: Sums, *, voxel_nm: VoxelNm) -> npt.NDArray[np.float64]:
    """What each closed object's surface encloses; um³."""
    return np.asarray(sums[:, VOLUME] / PER_VOXEL * float(np.prod(voxel_nm)) * 1e-9)


@compiled
def _add(places: Codes, triangles: Indices, voxel_nm: VoxelNm, shape: Shape, sums: Sums) -> None:
    dz, dy, dx = voxel_nm[0] / PARTS, voxel_nm[1] / PARTS, voxel_nm[2] / PARTS
    for t in range(len(triangles)):
        a, b, c = places[triangles[t, 0]], places[triangles[t, 1]], places[triangles[t, 2]]
        uz, uy, ux = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        vz, vy, vx = c[0] - a[0], c[1] - a[1], c[2] - a[2]
        # in whole numbers, 256ths of a voxel: the same last bit in whichever block it is added
        nz, ny, nx = ux * vy - uy * vx, uz * vx - ux * vz, uy * vz - uz * vy
        normal = (nz * dx * dy) ** 2 + (ny * dz * dx) ** 2 + (nx * dy * dz) ** 2
        area = np.int64(np.sqrt(normal) / 2 * PER_NM2 + 0.5)
        sums[TRIANGLES] += 1
        sums[AREA] += area
        # the flat cut is half a voxel beyond the centres of the volume's first and last voxels
        for axis in range(3):
            end = shape[axis] * PARTS - HALF
            if a[axis] == b[axis] == c[axis] and (a[axis] == -HALF or a[axis] == end):
                sums[CUT] += area
        # divergence theorem: prisms between the triangle and the plane z = 0, signed by its side
        sums[VOLUME] += (a[0] + b[0] + c[0]) * nz
