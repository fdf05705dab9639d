"""The table of objects with all that was measured: CSV, Parquet, and in the labels' metadata."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import INSTALL, ConfigError, VolumeError
from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm
from volproc.stages.measure.mesh.surface_sums import (
    COLUMNS,
    Sums,
    areas_um2,
    cuts_um2,
    volumes_um3,
)
from volproc.stages.measure.options import MeasureOptions
from volproc.stages.measure.tables.voxel_sums import ObjectSums
from volproc.stages.objects.components import Ids
from volproc.stages.objects.shape import longest_axes, semi_axes_nm
from volproc.stages.objects.table import Columns, describe, to_csv
from volproc.volume.file_io import write_file, write_pieces
from volproc.volume.metadata import VolumeInfo
from volproc.volume.properties import write_properties

Floats = npt.NDArray[np.float64]

PROPERTIES = (
    *("volume_um3", "surface_um2", "sphericity", "elongation", "mean_intensity", "agreement"),
)
"""Columns that also go into the labels' own metadata."""
MAX_PROPERTIES = 100_000
"""Objects whose numbers go into the labels' metadata: more make the labels slow to open."""
ROWS_AT_ONCE = 100_000


def table_of(
    found: ObjectSums,
    surfaces: tuple[Ids, Sums],
    *,
    values: tuple[str, ...],
    voxel_nm: VoxelNm,
    surface_voxel_nm: VoxelNm,
    shape: Shape,
) -> Columns:
    """Columns in the order people read them; `values` name the columns of `found.sums`.

    `surfaces` are ids and sums of the objects that have a surface, made of voxels of
    `surface_voxel_nm`; others get NaN.
    """
    voxels, counts = found.objects.voxels, found.slices
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
        "slices": counts.slices,
        "fragments_per_slice": counts.components / np.maximum(counts.slices, 1),
        "most_fragments": counts.most,
    }


def sphericity(volume_um3: Floats, surface_um2: Floats) -> Floats:
    """Surface of the ball of the same volume over the surface: 1 for a ball, less for all else.

    Wadell, Journal of Geology 43:250, 1935. NaN without a surface.
    """
    ball = np.cbrt(np.pi * (6 * volume_um3) ** 2)
    found: Floats = ball / np.where(surface_um2 > 0, surface_um2, np.nan)
    return found


def _surface_columns(ids: Ids, known: Ids, sums: Sums, *, voxel_nm: VoxelNm) -> Columns:
    """Surface without the cut at the border, the cut, and the sphericity of both together."""
    has_surface = np.isin(ids, known)
    rows = np.zeros((len(ids), COLUMNS), dtype=np.int64)
    rows[has_surface] = sums[np.searchsorted(known, ids[has_surface])]
    own, cut = areas_um2(rows), cuts_um2(rows)
    return {
        "surface_um2": np.where(has_surface, own, np.nan),
        "cut_um2": np.where(has_surface, cut, np.nan),
        "sphericity": sphericity(volumes_um3(rows, voxel_nm=voxel_nm), own + cut),
    }


def write_table(columns: Columns, labels: VolumeInfo, options: MeasureOptions, *, url: str) -> None:
    """Write `url`.csv and, as `options` say, Parquet and the labels' metadata.

    Labels that volproc did not make are left as they are.
    """
    write_pieces(f"{url}.csv", _csv(columns))
    if options.parquet:
        write_file(f"{url}.parquet", _parquet(columns))
    ours = labels.kind == "labels" and labels.provenance
    if options.properties and ours and len(columns["id"]) <= MAX_PROPERTIES:
        try:
            write_properties(labels, properties_of(columns))
        except VolumeError as error:
            raise VolumeError(
                f"{error}; the table is written: --no-properties ([measure] properties = false) "
                "leaves the labels as they are"
            ) from error


def require_parquet() -> None:
    """ConfigError without the package that writes Parquet."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"[measure] parquet = true needs pyarrow: {INSTALL.format('parquet')}"
        ) from error


def properties_of(columns: Columns) -> list[dict[str, Any]]:
    """OME-Zarr's label properties of each object: a few numbers, without those that are NaN."""
    names = [name for name in PROPERTIES if name in columns]
    rows = zip(columns["id"].tolist(), *(columns[name].tolist() for name in names), strict=True)
    return [
        {
            "label-value": identifier,
            **{n: float(f"{v:.6g}") for n, v in zip(names, row, strict=True) if np.isfinite(v)},
        }
        for identifier, *row in rows
    ]


def _csv(columns: Columns) -> Iterator[bytes]:
    yield (",".join(columns) + "\n").encode()
    for n in range(0, len(columns["id"]), ROWS_AT_ONCE):
        part = {name: values[n : n + ROWS_AT_ONCE] for name, values in columns.items()}
        yield to_csv(part).encode()


def _parquet(columns: Columns) -> bytes:
    import pyarrow
    from pyarrow import parquet

    content = BytesIO()
    parquet.write_table(pyarrow.table(dict(columns)), content)
    return content.getvalue()
