"""What numpy, dask and notebooks expect of an array, over the levels of a volume.

volume[10]                 one plane of the finest level, numpy
volume[..., ::4, ::4]      every fourth row and column: no chunk in between is decoded
np.asarray(volume)         all of it
volume.to_xarray()         lazy, with positions in nm
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from volproc.errors import GridError, VolumeError
from volproc.grid.scale import VoxelNm
from volproc.volume.metadata import Level, VolumeInfo

Selection = tuple[int | slice, ...]
"""One entry per axis; slices have start, stop and a positive step, all inside the axis."""


class OutsideError(GridError, IndexError):
    """An index beyond the end of a volume."""


class CopyNeededError(VolumeError, ValueError):
    """A view was asked for of voxels that lie in compressed files."""


class ArrayProtocol(ABC):
    """The finest level as an array of (z, y, x), or (c, z, y, x) where there are channels."""

    info: VolumeInfo

    @abstractmethod
    def select(self, selection: Selection, level: int = 0) -> npt.NDArray[Any]:
        """Voxels at `selection` of a level, as numpy would index it."""

    @abstractmethod
    def dask(self, level: int = 0, chunks: Any = None) -> Any:
        """A level as a lazy dask array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis of the finest level, the channels first where there are any."""
        return shape_of(self.info)

    @property
    def ndim(self) -> int:
        """3, or 4 with channels."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a voxel."""
        return np.dtype(self.info.dtype)

    @property
    def voxel_nm(self) -> VoxelNm:
        """Voxel size (z, y, x) of the finest level in nm."""
        return self.info.voxel_nm

    @property
    def levels(self) -> tuple[Level, ...]:
        """Shape, chunks and voxel size of every level, the finest first."""
        return self.info.levels

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        """Voxels of the finest level: whole numbers, slices with steps and `...`, as in numpy.

        OutsideError for a whole number beyond an end; slices are clipped.
        """
        selection, flipped = selected(index, self.shape, what=self.info.url)
        lengths = [len(range(*s.indices(s.stop))) for s in selection if isinstance(s, slice)]
        self._require_room(prod(lengths))
        if 0 in lengths:
            return np.empty(lengths, self.dtype)
        values: npt.NDArray[Any] = self.select(selection)[flipped]
        return values

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        if copy is False:
            raise CopyNeededError(
                f"{self.info.url} lies in compressed files: reading it makes an array, so "
                "copy=False is not possible; leave copy out"
            )
        values = self[...]
        return values if dtype is None else values.astype(dtype, copy=False)

    def __repr__(self) -> str:
        name = self.info.url.rstrip("/").rpartition("/")[2]
        size = " x ".join(f"{v:g}" for v in self.voxel_nm)
        levels = f"{len(self.levels)} level{'s' * (len(self.levels) > 1)}"
        return f"<Volume {name}: {self.info.kind}, {self.dtype} {self.shape}, {size} nm, {levels}>"

    def _repr_html_(self) -> str:
        from volproc.volume.notebook import html_of

        return html_of(self.info, self.select)

    def to_xarray(self, level: int = 0, *, unit: str = "nm", chunks: Any = None) -> Any:
        """A level as a lazy xarray.DataArray, with voxel centres in nm or um as coordinates.

        Needs the package xarray: the extra `xarray`.
        """
        from volproc.volume.coordinates import data_array

        return data_array(self.info, level, lambda: self.dask(level, chunks), unit=unit)

    def ome(self) -> Any:
        """ome-zarr's own object of this volume: OMEZarrMultiscale, or OMEZarrLabels of labels.

        Needs the package ome-zarr: the extra `ome`.
        """
        from volproc.volume.ome_reader import multiscale_object

        return multiscale_object(self.info)

    def _require_room(self, voxels: int) -> None:
        """VolumeError for more than this machine's memory: the process would be killed."""
        needed, free = voxels * self.dtype.itemsize, psutil.virtual_memory().available
        if needed > free:
            raise VolumeError(
                f"{needed / 1e9:.3g} GB of {self.info.url} do not fit into the "
                f"{free / 1e9:.3g} GB of memory that are free here; index a part of it, or take a "
                "lazy array: volume.dask(level)"
            )


def shape_of(info: VolumeInfo, level: int = 0) -> tuple[int, ...]:
    """Voxels along each axis of a level, the channels first where there are any."""
    lead = (len(info.channels),) if info.channels else ()
    return (*lead, *info.levels[level].shape)


def in_words(selection: Selection) -> str:
    """A selection for messages.

    >>> in_words((0, 4, slice(0, 8, 1), slice(2, 9, 2)))
    'z 4, y 0:8, x 2:9:2'
    """
    return ", ".join(
        f"{axis} {_span(one)}" for axis, one in zip("zyx", selection[-3:], strict=True)
    )


def _span(one: int | slice) -> str:
    if isinstance(one, int):
        return str(one)
    step = f":{one.step}" if one.step not in (None, 1) else ""
    return f"{one.start}:{one.stop}{step}"


def selected(index: Any, shape: tuple[int, ...], *, what: str) -> tuple[Selection, Any]:
    """Where numpy's `index` reads in an array of `shape`, with positive steps, and how to turn it.

    >>> selected((0, slice(None, None, -2)), (3, 6, 4), what="a.zarr")[0]
    (0, slice(1, 6, 2), slice(0, 4, 1))
    """
    given = _full(index if isinstance(index, tuple) else (index,), shape, what)
    selection: list[int | slice] = []
    flipped: list[slice] = []
    for axis, (one, size) in enumerate(zip(given, shape, strict=True)):
        if isinstance(one, slice):
            place = range(*one.indices(size))
            forward = place if place.step > 0 else place[::-1]
            stop = forward[-1] + 1 if len(forward) else forward.start
            selection.append(slice(forward.start, stop, forward.step))
            flipped.append(slice(None, None, 1 if place.step > 0 else -1))
        else:
            selection.append(_number(one, size, axis, what))
    return tuple(selection), tuple(flipped)


def _full(index: tuple[Any, ...], shape: tuple[int, ...], what: str) -> list[Any]:
    """`index` with an entry for every axis."""
    dots = [n for n, one in enumerate(index) if one is Ellipsis]
    if len(dots) > 1 or len(index) - len(dots) > len(shape):
        raise OutsideError(f"{what} has {len(shape)} axes, {shape}; the index has {len(index)}")
    missing = [slice(None)] * (len(shape) - len(index) + len(dots))
    at = dots[0] if dots else len(index)
    return [*index[:at], *missing, *index[at + 1 :]]


def _number(one: Any, size: int, axis: int, what: str) -> int:
    if isinstance(one, bool) or not isinstance(one, int | np.integer):
        raise OutsideError(
            f"{what} takes whole numbers, slices and ... as an index, not {type(one).__name__}; "
            "volume.dask() takes all that dask does"
        )
    if not -size <= one < size:
        raise OutsideError(f"{what}: index {one} is outside axis {axis} of {size} voxels")
    return int(one) % size
