"""Sources seen differently: two voxels in a byte, axes in another order, a part, without NaN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import IngestError
from volproc.grid.box import Box, Shape, each
from volproc.grid.scale import VoxelNm
from volproc.stages.ingest.source import Source, Stamp


@dataclass(frozen=True)
class Nibbles:
    """`columns` voxels of 0 to 15 in the bytes of each row, the first in the lower half."""

    packed: Source
    columns: int

    @property
    def shape(self) -> Shape:
        """Voxels (z, y, x)."""
        return (*self.packed.shape[:2], self.columns)

    @property
    def dtype(self) -> str:
        """uint8."""
        return "uint8"

    @property
    def voxel_nm(self) -> VoxelNm | None:
        """Voxel size the file states, in nm."""
        return self.packed.voxel_nm

    @property
    def identity(self) -> tuple[Stamp, ...]:
        """Of the file."""
        return self.packed.identity

    @property
    def by_rows(self) -> bool:
        """As its bytes are."""
        return self.packed.by_rows

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        first = box.start[2] // 2
        cover = Box((*box.start[:2], first), (*box.stop[:2], -(-box.stop[2] // 2)))
        packed = self.packed.read(cover)
        both = np.stack([packed & 15, packed >> 4], axis=-1)
        both = both.reshape(*packed.shape[:2], 2 * packed.shape[2])
        return both[:, :, box.start[2] - 2 * first : box.stop[2] - 2 * first]


@dataclass(frozen=True)
class Turned:
    """A source whose z, y and x are the `axes` of another one; that one states the voxel size."""

    inside: Source
    axes: Shape

    @property
    def shape(self) -> Shape:
        """Voxels (z, y, x)."""
        return each(lambda axis: self.inside.shape[axis], self.axes)

    @property
    def dtype(self) -> str:
        """numpy's name of the voxel type."""
        return self.inside.dtype

    @property
    def voxel_nm(self) -> VoxelNm | None:
        """Voxel size in nm, of z, y and x as they are here."""
        return self.inside.voxel_nm

    @property
    def identity(self) -> tuple[Stamp, ...]:
        """Of the file."""
        return self.inside.identity

    @property
    def by_rows(self) -> bool:
        """Rows here are not rows there."""
        return False

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`: a plane of another axis touches every plane of the file."""
        there = each(self.axes.index, (0, 1, 2))
        start, stop = (
            each(lambda axis, end=end: end[axis], there) for end in (box.start, box.stop)
        )
        return np.ascontiguousarray(self.inside.read(Box(start, stop)).transpose(self.axes))


@dataclass(frozen=True)
class PartOfSource:
    """The voxels of `box` of another source."""

    inside: Source
    box: Box

    @property
    def shape(self) -> Shape:
        """Voxels (z, y, x)."""
        return self.box.shape

    @property
    def dtype(self) -> str:
        """numpy's name of the voxel type."""
        return self.inside.dtype

    @property
    def voxel_nm(self) -> VoxelNm | None:
        """Voxel size the files state, in nm."""
        return self.inside.voxel_nm

    @property
    def identity(self) -> tuple[Stamp, ...]:
        """Of all files."""
        return self.inside.identity

    @property
    def by_rows(self) -> bool:
        """As inside."""
        return self.inside.by_rows

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`, counted from the part's first."""
        return self.inside.read(box.shift(self.box.start))


@dataclass(frozen=True)
class WithoutNaN:
    """A source of real numbers in which voxels that are none have a `value`."""

    inside: Source
    value: float

    def __post_init__(self) -> None:
        if abs(self.value) > float(np.finfo(self.inside.dtype).max):
            raise IngestError(
                f"[ingest] nan = {self.value:g} is beyond {self.inside.dtype}, which the files hold"
            )

    @property
    def shape(self) -> Shape:
        """Voxels (z, y, x)."""
        return self.inside.shape

    @property
    def dtype(self) -> str:
        """numpy's name of the voxel type."""
        return self.inside.dtype

    @property
    def voxel_nm(self) -> VoxelNm | None:
        """Voxel size the files state, in nm."""
        return self.inside.voxel_nm

    @property
    def identity(self) -> tuple[Stamp, ...]:
        """Of the files."""
        return self.inside.identity

    @property
    def by_rows(self) -> bool:
        """As inside."""
        return self.inside.by_rows

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        values = self.inside.read(box)
        return np.where(np.isnan(values), values.dtype.type(self.value), values)
