"""One model for every format: a lazy (z, y, x) array with a voxel size, if the file states one."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from math import isclose
from typing import Any, BinaryIO, Protocol

import numpy.typing as npt

from volproc.errors import IngestError
from volproc.faults import renamed
from volproc.grid.box import Box, Shape
from volproc.grid.scale import VoxelNm
from volproc.location import filesystem_of, name_of
from volproc.retry import PatientFile, patient

BUFFER_BYTES = 2**16

_POINTERS = (b"version https://git-lfs", b"/annex/objects/", b"../.git/annex/", b".git/annex/")
"""What a file begins with instead, where git keeps the content elsewhere."""

PixelNm = tuple[float, float]
"""Size of a pixel in nm, (y, x), which is often stated where the thickness of slices is not."""

Stamp = tuple[str, int, str]
"""Name, bytes and date (or ETag) of a file: another one means that the file has changed."""


class Source(Protocol):
    """Voxels in files. Frozen and small: it travels to the workers, which read the files.

    Some state more: `pixel_nm`, where the thickness of slices is not known (`pixel_nm_of`);
    `translation_nm`, the centre of the first voxel (in voxels where their size is not stated); the
    `kind` of volume; and in `said`, for the person, what was done to the values.
    """

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


def pixel_nm_of(source: Source) -> PixelNm | None:
    """The pixel size that a source states, with a voxel size or without."""
    if source.voxel_nm:
        return source.voxel_nm[1:]
    known: PixelNm | None = getattr(source, "pixel_nm", None)
    return known


def refuse_other_pixels(url: str, source: Source, pixel_nm: PixelNm | None) -> None:
    """IngestError for a slice whose pixels are not of the size of the others'."""
    found = pixel_nm_of(source)
    if found and pixel_nm and not all(map(partial(isclose, rel_tol=0.01), found, pixel_nm)):
        here, others = (f"{size[0]:g} x {size[1]:g} nm" for size in (found, pixel_nm))
        raise IngestError(
            f"{url} has pixels of {here} (y, x), others of its series {others}; name the slices of "
            "one size (FOLDER/slice_0*.tif), or, if what they state is wrong, give --voxel-nm Z Y X"
        )


@contextmanager
def reading(url: str) -> Iterator[None]:
    """Whatever a format library raises becomes an IngestError that names the file."""
    try:
        yield
    except Exception as error:
        line = renamed(
            f"cannot read {url}", error, IngestError, otherwise="the file may be cut short"
        )
        if line is error:
            raise
        raise line from error


@contextmanager
def described(url: str) -> Iterator[None]:
    """What damaged metadata make Python raise, also in our own code, becomes an IngestError."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise IngestError(
            f"cannot read {url}: {str(error) or type(error).__name__}; the file may be cut short"
        ) from error


def not_a(format: str, url: str, head: bytes) -> IngestError:
    """The error for a file that begins with `head` and is of another format than its name says."""
    if head.startswith(_POINTERS):
        return IngestError(
            f"{url} is only a pointer to its content; bring that with git lfs pull, git annex get "
            "or datalad get"
        )
    return IngestError(f"{url} is not a {format} file, whatever its name says")


def opened(url: str) -> BinaryIO:
    """The file at a path or fsspec URL, for reading bytes; a context manager.

    What fails for the moment is read again.
    """
    filesystem, path = filesystem_of(url)
    return io.BufferedReader(PatientFile(filesystem.open, path, "rb"), BUFFER_BYTES)


@patient
def stamp(url: str) -> Stamp:
    """Name, size and date of a file, as its file system tells them."""
    filesystem, path = filesystem_of(url)
    return stamp_of(url, filesystem.info(path))


def stamp_of(url: str, info: Mapping[str, Any]) -> Stamp:
    """The same from what a listing already says of the file (size 0 if it does not say it)."""
    dates = (info.get(key) for key in ("mtime", "LastModified", "last_modified", "ETag", "etag"))
    date = next((str(date) for date in dates if date is not None), "")
    return name_of(url), int(info["size"] or 0), date
