"""A smooth field whose level 0.5 is where an object's surface would be without its steps.

Voxels make steps; marching cubes on them overestimates the area of a ball by 9%, and by 20% where
slices are five times as thick as pixels. A Gaussian blur removes steps but moves curved surfaces
inwards, by sigma²/R on a ball of radius R: the blurred value at the surface falls by c sigma/R. In

    f = (k G(sigma) - G(k sigma)) / (k - 1),    k = sqrt 2,

the two shifts cancel, and a sheet one voxel thick still reaches 0.5.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from volproc.grid.box import Shape, each
from volproc.grid.scale import VoxelNm

WIDER = sqrt(2)
TRUNCATE = 3.0
"""The kernels end after so many sigma."""

Field = npt.NDArray[np.float32]


def reach(smooth_nm: float, *, voxel_nm: VoxelNm) -> Shape:
    """How many voxels around a place its value depends on.

    >>> reach(50, voxel_nm=VoxelNm((50, 25, 25)))
    (4, 8, 8)
    """
    return each(lambda v: int(TRUNCATE * WIDER * smooth_nm / v + 0.5), voxel_nm)


def soft(mask: npt.NDArray[np.bool_], *, smooth_nm: float, voxel_nm: VoxelNm) -> Field:
    """The smooth field of a mask, about 1 inside and 0 outside; `smooth_nm` is its sigma.

    Beyond the array its last voxels repeat. With `smooth_nm` 0 it is the mask itself.
    """
    values = mask.astype(np.float32)
    if not smooth_nm:
        return values
    narrow = each(lambda v: smooth_nm / v, voxel_nm)
    wide = each(lambda s: s * WIDER, narrow)
    field = _blurred(values, narrow)
    field *= WIDER
    field -= _blurred(values, wide)
    field /= WIDER - 1
    return field


def _blurred(values: Field, sigma: tuple[float, float, float]) -> Field:
    # mode and float32 lines of float64 sums: a voxel's value is the same in every crop
    blurred: Field = gaussian_filter(values, sigma, mode="nearest", truncate=TRUNCATE)
    return blurred
