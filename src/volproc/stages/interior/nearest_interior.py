"""Each voxel of an envelope goes to the nearest interior."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.grid.scale import VoxelNm
from volproc.stages.interior.envelope_distance import FORGIVEN, Mask, near, reach_voxels


def with_envelope(
    interiors: npt.NDArray[Any], envelope: Mask, *, voxel_nm: VoxelNm, reach_nm: float
) -> npt.NDArray[Any]:
    """The interiors' ids, and in voxels of the envelope that of the nearest within `reach_nm`.

    The lowest id of equally near ones. A block needs a halo of `reach_nm`.
    """
    out = interiors.copy()
    within = near(interiors > 0, voxel_nm=voxel_nm, reach_nm=reach_nm)
    wanted = np.flatnonzero(envelope & within & (interiors == 0))
    steps, squares = _nearest_first(voxel_nm, reach_nm)
    _take_nearest(interiors, wanted, steps, squares, out)
    return out


def _nearest_first(
    voxel_nm: VoxelNm, reach_nm: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Steps to all voxels within reach, and their squared lengths, the shortest first."""
    spans = [np.arange(-n, n + 1) for n in reach_voxels(reach_nm, voxel_nm=voxel_nm)]
    steps = np.stack(np.meshgrid(*spans, indexing="ij"), axis=-1).reshape(-1, 3)
    squares = ((steps * np.array(voxel_nm)) ** 2).sum(axis=1)
    order = np.argsort(squares, kind="stable")
    order = order[squares[order] <= (reach_nm * FORGIVEN) ** 2]
    return steps[order], squares[order]


@compiled
def _take_nearest(
    interiors: npt.NDArray[Any],
    wanted: npt.NDArray[np.int64],
    steps: npt.NDArray[np.int64],
    squares: npt.NDArray[np.float64],
    out: npt.NDArray[Any],
) -> None:
    depth, height, width = interiors.shape
    none = interiors.dtype.type(0)
    for i in wanted:
        z, y, x = i // (width * height), i // width % height, i % width
        best = none
        reached = np.inf
        for k in range(len(steps)):
            if squares[k] > reached:
                break
            a, b, c = z + steps[k, 0], y + steps[k, 1], x + steps[k, 2]
            if 0 <= a < depth and 0 <= b < height and 0 <= c < width:
                found = interiors[a, b, c]
                if found != none and (best == none or found < best):
                    best = found
                    reached = squares[k]
        out[z, y, x] = best
