"""Profiles of objects: their sections along z, and along the longest axis of each.

longest axis    voxels in each of BINS slabs across it, from -REACH to REACH semi-axes
neck            a thin slab between two thick ones
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm
from volproc.stages.objects.components import Ids, Labels
from volproc.stages.objects.shape import longest_axes, semi_axes_nm
from volproc.stages.objects.statistics import Statistics, voxel_counts
from volproc.stages.scores.sparse_sums import SparseSums

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

BINS = 48
REACH = 1.8
"""Semi-axes from the centre to the outermost slab; what is beyond counts there."""
NO_ROWS = SparseSums(np.empty((0, 2), np.uint64), np.empty(0, np.int64))


def slice_areas(local: Labels, ids: Ids, *, first: int) -> SparseSums:
    """Voxels of each object in each slice, from slice `first` on; keys are id and slice."""
    parts = []
    for z, plane in enumerate(local):
        counts = voxel_counts(plane, len(ids))[1:]
        there = np.flatnonzero(counts)
        keys = np.stack([ids[there], np.full(len(there), first + z, np.uint64)], axis=1)
        parts.append(SparseSums(keys, counts[there]))
    return SparseSums.added(parts, nothing=NO_ROWS)


def slice_jumps(areas: SparseSums, ids: Ids, *, depth: int) -> Floats:
    """Largest step of area between two slices, as a share of the largest area of each object.

    Where an object begins or ends counts as well, but not at the volume's border: there it is cut.
    """
    row = np.searchsorted(ids, areas.keys[:, 0])
    z, area = areas.keys[:, 1].astype(np.int64), areas.counts
    largest, jump = np.zeros(len(ids)), np.zeros(len(ids))
    np.maximum.at(largest, row, area)
    follows = np.r_[False, (row[1:] == row[:-1]) & (z[1:] == z[:-1] + 1)]
    precedes = np.r_[follows[1:], False]
    before = np.where(follows, np.r_[0, area[:-1]], 0)
    after = np.where(precedes, np.r_[area[1:], 0], 0)
    np.maximum.at(jump, row, np.where(follows | (z > 0), abs(area - before), 0))
    np.maximum.at(jump, row, np.where(precedes | (z < depth - 1), abs(area - after), 0))
    return np.asarray(jump / np.maximum(largest, 1))


def main_axes(objects: Statistics, *, voxel_nm: VoxelNm) -> Floats:
    """Per object its centre in nm and its longest axis over the semi-axis' length, shape (n, 6)."""
    centre = (objects.sums / objects.voxels[:, None] + 0.5) * np.array(voxel_nm)
    length = semi_axes_nm(objects, voxel_nm=voxel_nm)[:, :1]
    return np.concatenate([centre, longest_axes(objects, voxel_nm=voxel_nm) / length], axis=1)


def axis_profiles(
    local: Labels, ids: Ids, axes: Floats, *, origin: Shape, voxel_nm: VoxelNm
) -> SparseSums:
    """Voxels of each object in slabs across its longest axis; keys are id and slab.

    `axes[i]` (`main_axes`) is of id i + 1 in `local`, which begins at `origin` of the volume.
    """
    found = np.zeros((len(ids), BINS), np.int64)
    _add_profiles(local, axes, origin, np.array(voxel_nm, np.float64), found)
    row, slab = np.nonzero(found)
    return SparseSums(np.stack([ids[row], slab.astype(np.uint64)], axis=1), found[row, slab])


def necks(profiles: SparseSums, ids: Ids, axes: Floats, *, voxel_nm: VoxelNm) -> Floats:
    """How much thinner each object is between two thick parts than the thinner of them: 0 to 1.

    As a share of its thickest slab, so that a bump on a large object is no neck of it.
    """
    dense = np.zeros((len(ids), BINS))
    slab = profiles.keys[:, 1].astype(np.intp)
    dense[np.searchsorted(ids, profiles.keys[:, 0]), slab] = profiles.counts
    # slabs thinner than a layer of voxels would be full and empty in turn
    layer = (abs(axes[:, 3:]) * np.array(voxel_nm)).max(axis=1, initial=0.0) * BINS / (2 * REACH)
    reach = np.ceil(layer).astype(np.intp)
    smooth = _smoothed(_smoothed(dense, reach), reach)
    left = np.maximum.accumulate(smooth, axis=1)
    right = np.maximum.accumulate(smooth[:, ::-1], axis=1)[:, ::-1]
    depth = (np.minimum(left, right) - smooth) / np.maximum(smooth.max(axis=1, keepdims=True), 1e-9)
    return np.asarray(depth.max(axis=1, initial=0.0))


def _smoothed(rows: Floats, reach: npt.NDArray[np.intp]) -> Floats:
    """Means over `reach` slabs on either side, a reach of its own for each row."""
    count = rows.shape[1]
    sums = np.pad(np.cumsum(rows, axis=1), ((0, 0), (1, 0)))
    first = np.clip(np.arange(count) - reach[:, None], 0, count)
    last = np.clip(np.arange(count) + reach[:, None] + 1, 0, count)
    total = np.take_along_axis(sums, last, axis=1) - np.take_along_axis(sums, first, axis=1)
    return np.asarray(total / (2 * reach[:, None] + 1))


@compiled
def _add_profiles(local: Labels, axes: Floats, origin: Shape, size: Floats, found: Any) -> None:
    depth, height, width = local.shape
    bins = found.shape[1]
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                label = local[z, y, x]
                if label:
                    axis = axes[label - 1]
                    t = ((z + origin[0] + 0.5) * size[0] - axis[0]) * axis[3]
                    t += ((y + origin[1] + 0.5) * size[1] - axis[1]) * axis[4]
                    t += ((x + origin[2] + 0.5) * size[2] - axis[2]) * axis[5]
                    slab = int((t + REACH) / (2 * REACH) * bins)
                    found[label - 1, min(max(slab, 0), bins - 1)] += 1
