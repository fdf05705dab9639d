"""Which reader a path gets: a line here and a file beside this one per format."""

from __future__ import annotations

from pathlib import Path

from volproc.errors import IngestError
from volproc.stages.ingest.source import Source
from volproc.stages.ingest.tiff import is_tiff, tiff_series, tiff_stack


def open_source(path: Path, *, missing: str) -> Source:
    """The source at `path`: a TIFF file, or a folder of numbered TIFF slices.

    `missing` says what becomes of gaps in the numbers: "refuse" or "repeat" (the slice before).
    IngestError, one line, for anything that cannot be read.
    """
    if not path.exists():
        raise IngestError(f"{path} does not exist; expected a TIFF file or a folder of TIFF slices")
    if path.is_dir():
        return tiff_series(path, missing=missing)
    if not is_tiff(path):
        raise IngestError(
            f"{path} is not a TIFF file; TIFF stacks and folders of TIFF slices are read"
        )
    return tiff_stack(path)
