"""One model for every format: a lazy (z, y, x) array with a voxel size, if the file states one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from volproc.errors import IngestError
from volproc.grid.box import Box, Shape
from volproc.grid.scale import VoxelNm


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
    def identity(self) -> tuple[Any, ...]:
        """Names, sizes and times of the files: changes when an input does."""

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`, touching only the files and rows that hold them."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever a format library raises becomes an IngestError that names the file."""
    try:
        yield
    except IngestError:
        raise
    except Exception as error:
        raise IngestError(
            f"cannot read {path}: {str(error) or type(error).__name__}; the file may be cut short"
        ) from error


def stamp(path: Path) -> tuple[str, int, int]:
    """Name, size and time of a file."""
    status = path.stat()
    return path.name, status.st_size, status.st_mtime_ns
