"""manifest.csv: one row per subject, for uploaders and for the way back.

File names are in the columns `Image 0`, `Image 1`, ... and nowhere else in a row: Zooniverse's
page takes every file name that it finds in a row, wherever it is, and panoptes every column in
which the first row names a file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO

from volproc.errors import AnnotateError
from volproc.grid.scale import VoxelNm
from volproc.spreadsheet import plain, table_csv
from volproc.stages.subjects.frames import ENDINGS
from volproc.stages.subjects.options import SubjectsOptions
from volproc.stages.subjects.shown_regions import Region, drawn_slices, frames_at

FILE_COLUMN = "Image {frame}"
REQUIRED = ("subject", "default_frame", FILE_COLUMN.format(frame=0))

Row = dict[str, str]
"""One subject: column to text."""


def rows_of(
    region: Region,
    options: SubjectsOptions,
    *,
    voxel_nm: VoxelNm,
    contrast: tuple[float, float],
    quality: Mapping[int, int],
) -> Iterator[Row]:
    """A row for each slice of `region` that is drawn on; `quality` is that of each shown slice."""
    ending = ENDINGS[options.format]
    for z in drawn_slices(region, every=options.every):
        shown = frames_at(z, depth=region.depth, frames=options.frames)
        found: dict[str, object] = {
            "subject": region.frame(z),
            "roi": region.name,
            "slice": z,
            **{
                FILE_COLUMN.format(frame=n): f"{region.frame(f)}.{ending}"
                for n, f in enumerate(shown)
            },
            "default_frame": shown.index(z) + 1,
            **_place(region, voxel_nm),
            "scale": options.scale,
            "low": contrast[0],
            "high": contrast[1],
            **_published(region.frame(z), options, voxel_nm),
        }
        if options.format == "jpeg":
            found["jpeg quality (%)"] = min(quality[frame] for frame in shown)
        yield {
            key: f"{value:.15g}" if isinstance(value, float) else str(value)
            for key, value in found.items()
        }


def _place(region: Region, voxel_nm: VoxelNm) -> dict[str, object]:
    """Where the region lies in the volume, and the size of its voxels."""
    lengths = zip(("depth", "height", "width"), region.box.shape, strict=True)
    return {
        **{f"roi_{axis}": at for axis, at in zip("zyx", region.box.start, strict=True)},
        **{f"roi_{name}": length for name, length in lengths},
        **{f"voxel_{axis}_nm": nm for axis, nm in zip("zyx", voxel_nm, strict=True)},
    }


def _published(name: str, options: SubjectsOptions, voxel_nm: VoxelNm) -> dict[str, object]:
    """Keys of the published Etch-a-Cell subjects, by which both kinds of export read back.

    One that would be empty is left out: panoptes takes an empty cell for a file.
    """
    z, y, x = voxel_nm
    attribution = " ".join(options.attribution.split())  # one line
    return {
        "Subject ID": name,
        **({"Raw XY resolution (nm)": x} if y == x else {}),
        "Raw Z resolution (nm)": z,
        "Scaling factor": options.scale,
        **({"Attribution": attribution} if attribution else {}),
    }


def to_csv(rows: Iterable[Row]) -> str:
    """The table; a row with fewer frames than others leaves their columns empty."""
    rows = list(rows)
    columns = max((list(row) for row in rows), key=len)
    cells = ([row.get(column, "") for column in columns] for row in rows)
    return table_csv(columns, cells, end="\n")


def from_csv(text: str, *, name: str) -> list[Row]:
    """The rows that `to_csv` wrote, their empty cells left out; AnnotateError for another table."""
    reader = csv.DictReader(StringIO(text))
    missing = [column for column in REQUIRED if column not in (reader.fieldnames or ())]
    if missing:
        raise AnnotateError(
            f"{name} lacks the column {missing[0]!r}; it needs a manifest.csv of `volproc subjects`"
        )
    return [
        {
            key: plain(value)
            for key, value in row.items()
            if key and isinstance(value, str) and value
        }
        for row in reader
    ]


def files_of(row: Row) -> list[str]:
    """The files of a subject, first frame first."""
    columns = (FILE_COLUMN.format(frame=n) for n in range(len(row)))
    return [row[column] for column in columns if column in row]
