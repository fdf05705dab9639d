"""What is labelled: a volume, or any array that is cut like one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from volproc.errors import VolumeError
from volproc.grid.box import Box, Shape
from volproc.grid.scale import parse_voxel_nm
from volproc.stages.label.options import LabelOptions
from volproc.volume.arrays import PlainArray, what_is_at, zarr_array
from volproc.volume.channels import holds_votes, one_class
from volproc.volume.dask_token import token_of
from volproc.volume.fingerprint import fingerprint
from volproc.volume.kinds import foreground_level
from volproc.volume.metadata import VolumeInfo, new_volume
from volproc.volume.store import Volume, open_volume

WHOLE = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
"""Types of classes and ids."""


class Source(Protocol):
    """Boxes of voxels, and what is known of them."""

    @property
    def info(self) -> VolumeInfo:
        """Shape, type and voxel size; `url` says in messages what it is."""

    @property
    def fingerprint(self) -> str:
        """What changes when the voxels do; where nothing is known of them, another every time."""

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Voxels of `box`, shape (z, y, x); the same whenever it is asked."""


@dataclass(frozen=True)
class ArraySource:
    """An array of z, y and x that gives boxes when indexed: numpy, Zarr, HDF5, dask.

    A lazy one (dask) is computed box by box, once in each pass.
    """

    info: VolumeInfo
    array: Any

    @cached_property
    def fingerprint(self) -> str:
        """Of values, type and shape; of a dask array, of all that it is made from."""
        return token_of(self.array)

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Voxels of `box`."""
        part = self.array[box.slices]
        part = part.compute() if hasattr(part, "compute") else part
        _refuse_masked(part, self.info.url)
        return np.asarray(part, dtype=self.info.dtype)


@dataclass(frozen=True)
class PlainSource:
    """A Zarr or N5 array without OME-Zarr's metadata."""

    info: VolumeInfo
    array: PlainArray

    @property
    def fingerprint(self) -> str:
        """Of the array's files."""
        return fingerprint(self.info)

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Voxels of `box`."""
        return self.array.read(box)


@dataclass(frozen=True)
class ClassMap:
    """Of each voxel the likeliest class of a prediction, counted from 1; 0 where none reaches
    `level`. Of equally likely ones the first."""

    volume: Volume
    level: float

    @property
    def info(self) -> VolumeInfo:
        """The prediction's, without channels."""
        return replace(self.volume.info, channels=())

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names."""
        return self.volume.info.channels

    @property
    def fingerprint(self) -> str:
        """Of the prediction."""
        return fingerprint(self.volume.info)

    def read(self, box: Box) -> npt.NDArray[np.uint8]:
        """Classes of `box`: one channel after another, so that not all are in memory."""
        highest, found = np.zeros(box.shape, self.info.dtype), np.zeros(box.shape, np.uint8)
        for n in range(len(self.classes)):
            values = self.volume.read(box, channel=n)
            better = (values > highest) & (values >= self.level)
            np.copyto(highest, values, where=better)
            found[better] = n + 1
        return found


def chosen_source(source: Source, options: LabelOptions) -> Source:
    """What is labelled of a volume with channels: the class that the options name, or, for input =
    "classes", all. ConfigError or VolumeError where neither is possible."""
    info = source.info
    if is_class_map(info, options) and isinstance(source, Volume):
        return ClassMap(source, foreground_level(info, threshold=options.threshold))
    picked = one_class(info, options.object_class, option="[label] object_class")
    return source if picked is info else Volume(picked)


def is_class_map(info: VolumeInfo, options: LabelOptions) -> bool:
    """Whether each voxel goes to its likeliest class."""
    several = len(info.channels) > 1 and not holds_votes(info)
    return several and options.input == "classes" and not options.object_class


def source_of(given: Any, *, voxel_nm: Sequence[float] | None = None) -> Source:
    """A path, a URL, or an array as a source.

    `voxel_nm` (z, y, x) is needed where nothing states it. VolumeError for what is no volume.
    """
    if isinstance(given, Volume):
        return _with_voxels(given, voxel_nm) if voxel_nm else given
    if not isinstance(given, str | Path):
        return _array_source(given, voxel_nm)
    url = str(given)
    if "/labels/" in url or what_is_at(url) == "ome":
        return open_volume(url, voxel_nm=voxel_nm)
    array = zarr_array(url)
    info = _info(array.url, array.shape, array.dtype, voxel_nm)
    return PlainSource(info, array)


def _with_voxels(given: Volume, voxel_nm: Sequence[float]) -> Volume:
    again = open_volume(given.info.url, voxel_nm=voxel_nm).info
    return Volume(replace(again, channels=given.info.channels, picked=given.info.picked))


def _array_source(array: Any, voxel_nm: Sequence[float] | None) -> Source:
    name, shape = f"the {type(array).__name__}", tuple(getattr(array, "shape", ()))
    if len(shape) != 3 or not all(n >= 1 for n in shape):
        raise VolumeError(
            f"expected a path or an array of z, y and x, got {type(array).__name__} of shape "
            f"{shape}; give a single slice an axis of length 1: array[None]"
        )
    _refuse_masked(array, name)
    try:
        dtype = np.dtype(array.dtype).newbyteorder("=")
    except TypeError as error:
        raise VolumeError(
            f"{name} holds {array.dtype}, which numpy does not know: give numpy.asarray(array)"
        ) from error
    if dtype.kind not in "buif":
        raise VolumeError(f"{name} holds {dtype}; expected bool, whole numbers or floats")
    z, y, x = map(int, shape)
    info = _info(name, (z, y, x), str(dtype), voxel_nm)
    return ArraySource(info, array)


def _refuse_masked(array: Any, what: str) -> None:
    """Below their mask such arrays hold voxels that nobody meant to be there."""
    if isinstance(array, np.ma.MaskedArray):
        raise VolumeError(f"{what} is masked; say what is below the mask: array.filled(0)")


def _info(url: str, shape: Shape, dtype: str, voxel_nm: Sequence[float] | None) -> VolumeInfo:
    if voxel_nm is None:
        raise VolumeError(f"{url} states no voxel size; give voxel_nm=(z, y, x) in nm")
    size = parse_voxel_nm(voxel_nm)
    return new_volume(url, shape=shape, voxel_nm=size, dtype=dtype, max_levels=1)
