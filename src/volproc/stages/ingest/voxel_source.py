"""One model for every format: a lazy (z, y, x) array, with what its files state of voxels."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from math import isclose, isfinite
from typing import Any, BinaryIO

import numpy.typing as npt

from volproc.errors import IngestError
from volproc.faults import renamed, understanding
from volproc.grid.box import Box, Shape, each
from volproc.grid.scale import VoxelNm, parse_voxel_nm
from volproc.location import filesystem_of, name_of
from volproc.retry import PatientFile, patient
from volproc.volume.metadata import Kind, PositionNm

BUFFER_BYTES = 2**16

_POINTERS = (b"version https://git-lfs", b"/annex/objects/", b"../.git/annex/", b".git/annex/")
"""What a file begins with instead, where git keeps the content elsewhere."""

PixelNm = tuple[float, float]
"""Size of a pixel in nm, (y, x), which is often stated where the thickness of slices is not."""

Stamp = tuple[str, int, str]
"""Name, bytes and date (or ETag) of a file: another one means that the file has changed."""


Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Calibration:
    """What a file states of its voxels (z, y, x): `sizes` in nm, None where it states none, and the
    centre of the first one, in nm or in voxels.
    """

    sizes: tuple[float | None, float | None, float | None] = (None, None, None)
    centre: Triple = (0.0, 0.0, 0.0)
    in_voxels: bool = False

    @property
    def voxel_nm(self) -> VoxelNm | None:
        """The voxel size, if all three sizes are stated."""
        known = [size for size in self.sizes if size]
        return parse_voxel_nm(known) if len(known) == 3 else None

    def corner_nm(self, voxel_nm: VoxelNm) -> PositionNm | None:
        """Where the volume begins if its voxels are of `voxel_nm`; None where no place is stated.

        Another size than the file states keeps the place in voxels: crops stay where they were.
        """
        centre = each(lambda c: c if isfinite(c) else 0.0, self.centre)
        if not any(centre):
            return None
        stated = (
            (1.0, 1.0, 1.0) if self.in_voxels else each(lambda s, v: s or v, self.sizes, voxel_nm)
        )
        return each(lambda c, s, v: c * (v / s) - v / 2, centre, stated, voxel_nm)


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """Voxels in files. Frozen and small: it travels to the workers, which read the files."""

    shape: Shape
    """Voxels (z, y, x)."""
    dtype: str
    """numpy's name of the voxel type, in this machine's byte order."""
    identity: tuple[Stamp, ...]
    """One stamp per file; () on a worker."""
    stated: Calibration = Calibration()
    by_rows: bool = False
    """Whether some rows of a plane cost their share only; if not, it is decoded whole."""
    kind: Kind = "image"
    note: str = ""
    """For people: which files were taken, or what was done to the values."""
    filled: tuple[int, ...] = ()
    """Slices that are in no file."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "identity": ()}

    @property
    def voxel_nm(self) -> VoxelNm | None:
        """The voxel size that the files state, in nm."""
        return self.stated.voxel_nm

    @property
    def pixel_nm(self) -> PixelNm | None:
        """The pixel size (y, x) that the files state in nm, with the thickness or without."""
        _, y, x = self.stated.sizes
        return (y, x) if y and x else None

    @abstractmethod
    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`, from only the files and, `by_rows`, the rows that contain them."""


def refuse_other_pixels(url: str, source: Source, pixel_nm: PixelNm | None) -> None:
    """IngestError for a slice whose pixels are not of the size of the others'."""
    found = source.pixel_nm
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


def described(url: str) -> AbstractContextManager[None]:
    """What damaged metadata make Python raise, also in our own code, becomes an IngestError."""
    return understanding(IngestError, f"cannot read {url}: {{}}; the file may be cut short")


def not_a(format: str, url: str, head: bytes) -> IngestError:
    """The error for a file that begins with `head` and is of another format than its name says."""
    if head.startswith(_POINTERS):
        return IngestError(
            f"{url} is only a pointer to its content; fetch that with git lfs pull, git annex get "
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
