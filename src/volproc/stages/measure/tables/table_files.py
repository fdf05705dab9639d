"""The table of objects as files: CSV, Parquet, and a few columns in the labels' own metadata."""

from __future__ import annotations

from io import BytesIO
from itertools import chain
from typing import Any

import numpy as np

from volproc.errors import INSTALL, ConfigError, VolumeError
from volproc.stages.measure.options import MeasureOptions
from volproc.stages.objects.table import Columns, to_csv
from volproc.volume.file_io import write_file, write_pieces
from volproc.volume.metadata import VolumeInfo
from volproc.volume.properties import write_properties

PROPERTIES = (
    "volume_um3",
    "surface_um2",
    "sphericity",
    "elongation",
    "mean_intensity",
    "agreement",
)
"""Columns that the labels' own metadata get."""
MAX_PROPERTIES = 100_000
"""Objects whose numbers go into the labels' metadata: more make it slow to open."""
PIECE = 100_000
"""Rows of the table written at once."""


def write_table(columns: Columns, labels: VolumeInfo, options: MeasureOptions, *, url: str) -> None:
    """The table at `url`.csv, and as `options` say also as Parquet and in the labels' metadata.

    Labels that others made are left as they are.
    """
    rows = len(columns["id"])
    parts = (
        to_csv({name: values[n : n + PIECE] for name, values in columns.items()}).encode()
        for n in range(0, rows, PIECE)
    )
    write_pieces(f"{url}.csv", chain([(",".join(columns) + "\n").encode()], parts))
    if options.parquet:
        write_file(f"{url}.parquet", to_parquet(columns))
    ours = labels.kind == "labels" and labels.provenance
    if options.properties and ours and rows <= MAX_PROPERTIES:
        try:
            write_properties(labels, properties_of(columns))
        except VolumeError as error:
            raise VolumeError(
                f"{error}; the table is there: --no-properties ([measure] properties = false) "
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


def to_parquet(columns: Columns) -> bytes:
    """The table as a Parquet file."""
    import pyarrow
    from pyarrow import parquet

    content = BytesIO()
    parquet.write_table(pyarrow.table(dict(columns)), content)
    return content.getvalue()


def properties_of(columns: Columns) -> list[dict[str, Any]]:
    """What OME-Zarr's label metadata say of each object: a few numbers; NaN is left out."""
    names = [name for name in PROPERTIES if name in columns]
    rows = zip(columns["id"].tolist(), *(columns[name].tolist() for name in names), strict=True)
    return [{"label-value": row[0], **_rounded(names, row[1:])} for row in rows]


def _rounded(names: list[str], values: tuple[float, ...]) -> dict[str, float]:
    pairs = zip(names, values, strict=True)
    return {name: float(f"{value:.6g}") for name, value in pairs if np.isfinite(value)}
