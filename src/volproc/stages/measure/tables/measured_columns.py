"""The table of objects with everything that was measured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm
from volproc.stages.measure.mesh.surface_sums import COLUMNS, Sums, areas_um2, cuts_um2, volumes_um3
from volproc.stages.measure.tables.voxel_sums import Counted
from volproc.stages.objects.components import Ids
from volproc.stages.objects.shape import longest_axes, semi_axes_nm
from volproc.stages.objects.table import Columns, describe

Floats = npt.NDArray[np.float64]


def table_of(
    found: Counted,
    surfaces: tuple[Ids, Sums],
    *,
    values: tuple[str, ...],
    voxel_nm: VoxelNm,
    surface_voxel_nm: VoxelNm,
    shape: Shape,
) -> Columns:
    """Columns in the order people read them; `values` name the columns of sums.

    `surfaces` are ids and sums of areas of objects that have a surface, of voxels of
    `surface_voxel_nm`; others get NaN.
    """
    voxels = found.objects.voxels
    table = describe(found.ids, found.objects, voxel_nm=voxel_nm, shape=shape)
    semi_axes = semi_axes_nm(found.objects, voxel_nm=voxel_nm)
    longest = longest_axes(found.objects, voxel_nm=voxel_nm)
    return {
        **table,
        **_surface_columns(found.ids, *surfaces, voxel_nm=surface_voxel_nm),
        "equivalent_diameter_um": np.cbrt(6 / np.pi * table["volume_um3"]),
        **{f"semi_axis_{n}_nm": semi_axes[:, n - 1] for n in (1, 2, 3)},
        **{f"longest_axis_{axis}": longest[:, n] for n, axis in enumerate("zyx")},
        **{name: found.sums[:, n] / voxels for n, name in enumerate(values)},
        "slices": found.fragments.slices,
        "fragments_per_slice": found.fragments.pieces / np.maximum(found.fragments.slices, 1),
        "most_fragments": found.fragments.most,
    }


def sphericity(volume_um3: Floats, surface_um2: Floats) -> Floats:
    """Surface of the ball of the same volume over the surface: 1 for a ball, less for all else.

    Wadell, Journal of Geology 43:250, 1935. NaN without a surface.
    """
    ball = np.cbrt(np.pi * (6 * volume_um3) ** 2)
    found: Floats = ball / np.where(surface_um2 > 0, surface_um2, np.nan)
    return found


def _surface_columns(
    ids: Ids,
    known: Ids,
    sums: Sums,
    *,
    voxel_nm: VoxelNm,
) -> Columns:
    """Surface without what the border cuts, the cut, and the sphericity of the closed surface."""
    place = np.searchsorted(known, ids)
    there = np.isin(ids, known)
    rows = np.zeros((len(ids), COLUMNS), dtype=np.int64)
    rows[there] = sums[place[there]]
    own, cut = areas_um2(rows), cuts_um2(rows)
    volume = volumes_um3(rows, voxel_nm=voxel_nm)
    return {
        "surface_um2": np.where(there, own, np.nan),
        "cut_um2": np.where(there, cut, np.nan),
        "sphericity": sphericity(volume, own + cut),
    }
