"""One model for every format: a lazy (z, y, x) array with a voxel size, if the file states one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, Protocol

import fsspec
import numpy.typing as npt

from volproc.errors import IngestError
from volproc.grid.box import Box, Shape
from volproc.grid.scale import VoxelNm

Stamp = tuple[str, int, str]
"""Name, bytes and date (or ETag) of a file: another one means that the file has changed."""


class Source(Protocol):
    """Voxels in files. Frozen and small: it travels to the workers, which read the files."""

    @property
    def shape(self) -> Shape:
        """Voxels (z, y, x)."""

    @property
    def dtype(self) -> str:
        """numpy's name of the voxel type."""

    @property
    def voxel_nm(self) -> VoxelNm | None:
        """Voxel size the files state, in nm."""

    @property
    def identity(self) -> tuple[Stamp, ...]:
        """One stamp per file."""

    @property
    def by_rows(self) -> bool:
        """Whether some rows of a plane cost their share only; if not, it is decoded whole."""

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`, touching only the files and, `by_rows`, the rows that hold them."""


@contextmanager
def reading(url: str) -> Iterator[None]:
    """Whatever a format library raises becomes an IngestError that names the file."""
    try:
        yield
    except IngestError:
        raise
    except Exception as error:
        raise IngestError(
            f"cannot read {url}: {str(error) or type(error).__name__}; the file may be cut short"
        ) from error


EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "http": "http",
    "https": "http",
}
"""What to install for a URL: pip install 'volproc[EXTRA]'."""


def located(url: str) -> tuple[Any, str]:
    """The file system of a path or fsspec URL, and the path on it.

    IngestError that names the extra, where the package for such URLs is not installed.
    """
    protocol = url.partition("://")[0] if "://" in url else "file"
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        way_out = f"pip install 'volproc[{extra}]'" if extra else str(error)
        raise IngestError(
            f"{url}: nothing is installed that reads {protocol}:// ({way_out})"
        ) from error
    except ValueError as error:
        raise IngestError(
            f"{url}: {protocol}:// is not known; a path, or s3://, gs://, https:// are read"
        ) from error
    return filesystem, path


def opened(url: str) -> BinaryIO:
    """The file at a path or fsspec URL, for reading bytes; a context manager."""
    filesystem, path = located(url)
    file: BinaryIO = filesystem.open(path, "rb")
    return file


def stamp(url: str) -> Stamp:
    """Name, size and date of a file, as its file system tells them."""
    filesystem, path = located(url)
    return stamp_of(url, filesystem.info(path))


def stamp_of(url: str, info: Mapping[str, Any]) -> Stamp:
    """The same from what a listing already says of the file (size 0 if it does not say it)."""
    dates = (info.get(key) for key in ("mtime", "LastModified", "last_modified", "ETag", "etag"))
    date = next((str(date) for date in dates if date is not None), "")
    return url.rstrip("/").rpartition("/")[2], int(info["size"] or 0), date
