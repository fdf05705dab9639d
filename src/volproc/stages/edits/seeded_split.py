"""An object cut into parts: a watershed that begins at positions inside of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt
from skimage.segmentation import watershed

from volproc.grid.box import Box, Shape, each
from volproc.grid.scale import VoxelNm

Mask = npt.NDArray[np.bool_]
Parts = npt.NDArray[np.uint8]
Depth = npt.NDArray[np.float64]
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
    depth = _depth_nm(mask, voxel_nm) if probability is None else probability.astype(float)
    depth[~mask] = -np.inf
    markers = _markers(depth, seeds)
    grown = watershed(-depth, markers, connectivity=np.ones((3, 3, 3)), mask=mask)
    found = np.asarray(grown, dtype=np.uint8)
    found[mask & (found == 0)] = 1
    return found


def _markers(depth: Depth, seeds: Sequence[Sequence[Shape]]) -> npt.NDArray[np.int32]:
    """The number of its part at each voxel from which one grows: the seeds, and the ways from them
    up to where the object is thickest.

    Else a part that begins near the surface would be flooded from another before it begins. Where
    ways of two parts meet, the object has no neck between them: they begin at the seeds alone.
    """
    at_seeds, on_ways = np.zeros((2, *depth.shape), dtype=np.int32)
    meet = False
    for number, places in enumerate(seeds, start=1):
        for place in places:
            at_seeds[place] = number
            for step in _way_up(depth, place):
                meet |= on_ways[step] not in (0, number)
                on_ways[step] = number
    markers: npt.NDArray[np.int32] = at_seeds if meet else on_ways
    return markers


def _way_up(depth: Depth, place: Shape) -> Iterator[Shape]:
    """Voxels from `place` on, each the deepest neighbour of the one before."""
    while True:
        yield place
        start = each(lambda n: max(0, n - 1), place)
        around = depth[Box(start, each(lambda n: n + 2, place)).slices]
        best = np.unravel_index(int(around.argmax()), around.shape)
        if around[best] <= depth[place]:
            return
        place = each(lambda a, b: a + int(b), start, best)


def _depth_nm(mask: Mask, voxel_nm: VoxelNm) -> Depth:
    """Distance from the nearest voxel that is not of the object; beyond the array none is."""
    inside = (slice(1, -1),) * 3
    padded = distance_transform_edt(np.pad(mask, 1), sampling=tuple(voxel_nm))
    depth: Depth = padded[inside].copy()
    return depth
