"""Shape of objects from their sums: the ellipsoid that has the same moments."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm
from volproc.stages.objects.statistics import PAIRS_OF_AXES, Statistics, central_products

Floats = npt.NDArray[np.float64]


def semi_axes_nm(objects: Statistics, *, voxel_nm: VoxelNm) -> Floats:
    """Semi-axes of the ellipsoid with each object's second moments in nm, longest first, (n, 3).

    A solid ellipsoid has the variance a² / 5 along a semi-axis a. Every voxel counts as a filled
    box, so that a single one has an extent, too.
    """
    found: Floats = np.sqrt(5 * np.linalg.eigvalsh(_variances(objects, voxel_nm)))[:, ::-1]
    return found


def longest_axes(objects: Statistics, *, voxel_nm: VoxelNm) -> Floats:
    """Directions of the longest axes of these ellipsoids, of length 1, z not negative, (n, 3)."""
    axes: Floats = np.linalg.eigh(_variances(objects, voxel_nm))[1][:, :, 2]
    # an axis has no head: the first part that is not 0 is made positive
    first = np.take_along_axis(axes, (np.abs(axes) > 1e-9).argmax(axis=1)[:, None], axis=1)
    turned: Floats = axes * np.where(first < 0, -1.0, 1.0)
    return turned


def elongation(objects: Statistics, *, voxel_nm: VoxelNm) -> npt.NDArray[np.float64]:
    """Longest over shortest semi-axis of each object's ellipsoid: 1 for a ball, shape (n,)."""
    axes = semi_axes_nm(objects, voxel_nm=voxel_nm)
    ratio: Floats = axes[:, 0] / axes[:, 2]
    return ratio


def touches_border(objects: Statistics, *, shape: Shape) -> npt.NDArray[np.bool_]:
    """Which objects reach the first or last voxel of the volume along any axis, (n,)."""
    inside = (objects.start > 0).all(axis=1) & (objects.stop < np.array(shape)).all(axis=1)
    return np.asarray(~inside)


def extents_nm(objects: Statistics, *, voxel_nm: VoxelNm) -> npt.NDArray[np.float64]:
    """Sides of the bounding boxes, shape (n, 3)."""
    return np.asarray((objects.stop - objects.start) * np.array(voxel_nm), dtype=np.float64)


def _variances(objects: Statistics, voxel_nm: VoxelNm) -> Floats:
    """Variances and covariances of the places of each object's matter in nm², (n, 3, 3)."""
    size = np.array(voxel_nm)
    _, products = central_products(objects)
    variance = np.empty((len(objects), 3, 3))
    for column, (a, b) in enumerate(PAIRS_OF_AXES):
        mean = products[:, column] / objects.voxels * size[a] * size[b]
        variance[:, a, b] = variance[:, b, a] = mean
    variance[:, range(3), range(3)] += size**2 / 12
    return variance
