"""An object cut into parts: a watershed that begins at positions inside of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt
from skimage.segmentation import watershed

from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm

Mask = npt.NDArray[np.bool_]
Parts = npt.NDArray[np.uint8]
MOST_PARTS = 255
BYTES_PER_VOXEL = 60
"""Labels, mask, distance with its indices, markers, and what watershed keeps of each voxel."""


def split(
    mask: Mask,
    seeds: Sequence[Sequence[Shape]],
    *,
    voxel_nm: VoxelNm,
    probability: npt.NDArray[Any] | None = None,
) -> Parts:
    """The part, from 1, of every voxel of `mask`; 0 outside. Voxels touch across corners.

    Parts grow from their `seeds`, voxels of the mask, and meet where the object is thin: a
    watershed on the distance from its surface (Meyer, Signal Processing 38:113, 1994), or on
    `probability`. Components without a seed go to the first part.
    """
    markers = np.zeros(mask.shape, dtype=np.int32)
    for number, places in enumerate(seeds, start=1):
        for place in places:
            markers[place] = number
    heights = -(_depth_nm(mask, voxel_nm) if probability is None else probability.astype(float))
    grown = watershed(heights, markers, connectivity=np.ones((3, 3, 3)), mask=mask)
    found = np.asarray(grown, dtype=np.uint8)
    found[mask & (found == 0)] = 1
    return found


def _depth_nm(mask: Mask, voxel_nm: VoxelNm) -> npt.NDArray[np.float64]:
    """Distance from the nearest voxel that is not of the object; beyond the array none is."""
    inside = (slice(1, -1),) * 3
    padded = distance_transform_edt(np.pad(mask, 1), sampling=tuple(voxel_nm))
    depth: npt.NDArray[np.float64] = padded[inside]
    return depth
