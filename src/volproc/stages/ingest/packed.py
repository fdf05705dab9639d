"""Sources seen differently: two voxels in a byte, axes in another order, other grey values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Box, Shape, each
from volproc.grid.scale import VoxelNm
from volproc.stages.ingest.source import PixelNm, Source, Stamp, pixel_nm_of


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
class Regreyed:
    """A source whose values stand for others: those of a `palette`, or, without one, turned over.

    `highest` is what 0 then becomes; with a sign, where there is none, the two ends change places.
    """

    inside: Source
    highest: int | None = None
    palette: tuple[int, ...] = ()

    @property
    def said(self) -> str:
        """What was done to the values."""
        if self.palette:
            return "its values stand for the greys of a palette: those were taken"
        return "its photometric tag says that 0 is white: grey values were turned over"

    @property
    def shape(self) -> Shape:
        """Voxels (z, y, x)."""
        return self.inside.shape

    @property
    def dtype(self) -> str:
        """numpy's name of the voxel type."""
        if not self.palette:
            return self.inside.dtype
        return "uint8" if max(self.palette) < 256 else "uint16"

    @property
    def voxel_nm(self) -> VoxelNm | None:
        """Voxel size the file states, in nm."""
        return self.inside.voxel_nm

    @property
    def pixel_nm(self) -> PixelNm | None:
        """Pixel size the file states, in nm."""
        return pixel_nm_of(self.inside)

    @property
    def identity(self) -> tuple[Stamp, ...]:
        """Of the file."""
        return self.inside.identity

    @property
    def by_rows(self) -> bool:
        """As it is stored."""
        return self.inside.by_rows

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        values = self.inside.read(box)
        if self.palette:
            values = np.asarray(self.palette, dtype=self.dtype)[values]
        elif self.highest is None:
            values = np.invert(values)
        else:
            values = values.dtype.type(self.highest) - values
        return values
