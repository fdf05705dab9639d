"""Groups and arrays as they are stored, with any axes: what `volproc check` looks at.

Nothing is trusted here: `volproc.volume.metadata_reader` refuses at the first thing that is wrong,
this file reports what is there, so that everything wrong can be named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from volproc.errors import VolumeError
from volproc.grid.box import Box, Shape
from volproc.volume.access import exists, first_line, reading, refuse_unreachable
from volproc.volume.retrying_store import for_zarr

MAX_FILES = 2**30
"""Of an array; no file system holds more of one."""
CHUNK_KEY = re.compile(r"(c[/.])?\d+([/.]\d+)*")


@dataclass(frozen=True)
class StoredGroup:
    """A group's attributes, and the version of zarr (2 or 3) that it is written in."""

    url: str
    attributes: dict[str, Any]
    zarr_format: int


@dataclass(frozen=True)
class StoredArray:
    """An array of any number of axes, opened when first read. Pickles as its description.

    `unit` is what one file holds, a shard or a chunk, and `chunk` what is decoded at once: voxels
    along every axis.
    """

    url: str
    shape: tuple[int, ...]
    dtype: str
    unit: tuple[int, ...]
    chunk: tuple[int, ...]

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def space(self) -> Shape:
        """Voxels along the last three axes."""
        z, y, x = self.shape[-3:]
        return z, y, x

    @property
    def file_space(self) -> Shape:
        """Voxels of one file along the last three axes."""
        z, y, x = self.unit[-3:]
        return z, y, x

    @property
    def grid(self) -> tuple[int, ...]:
        """Files along each axis, where all are written."""
        return tuple(-(-n // u) for n, u in zip(self.shape, self.unit, strict=True))

    @property
    def bytes_per_voxel(self) -> int:
        """Of one file, the axes before z, y, x included."""
        return np.dtype(self.dtype).itemsize * prod(self.unit[:-3])

    def read(self, box: Box, *, lead: tuple[slice, ...] = ()) -> npt.NDArray[Any]:
        """Voxels of `box`, at `lead` of the axes before it; VolumeError if that fails."""
        with reading(f"{self.url}, voxels {box}"):
            return np.asarray(self._array[(*lead, *box.slices)])

    def file(self, position: tuple[int, ...]) -> str:
        """Where the file at `position` of the grid lies."""
        return f"{self.url}/{self._array.metadata.encode_chunk_key(position)}"

    def position(self, key: str) -> tuple[int, ...] | None:
        """The place in the grid of the file called `key` below the array; None for other files."""
        if not CHUNK_KEY.fullmatch(key):
            return None
        found = tuple(map(int, re.findall(r"\d+", key)))
        inside = len(found) == len(self.grid) and all(
            p < n for p, n in zip(found, self.grid, strict=True)
        )
        return found if inside and self._array.metadata.encode_chunk_key(found) == key else None

    @cached_property
    def _array(self) -> zarr.Array[Any]:
        return zarr.open_array(for_zarr(self.url), mode="r")


def group_at(url: str) -> StoredGroup | None:
    """The group at `url`; None if there is none. VolumeError if nothing lies there at all."""
    try:
        group = zarr.open_group(for_zarr(url), mode="r", use_consolidated=False)
    except Exception as error:  # whatever it is, zarr cannot make a group of it
        refuse_unreachable(url, error)
        if exists(url):
            return None
        raise VolumeError(
            f"{url} does not exist; expected an OME-Zarr volume (a folder NAME.zarr)"
        ) from error
    return StoredGroup(url, dict(group.attrs), group.metadata.zarr_format)


def model_error(url: str, *, labels: bool) -> str:
    """What ome-zarr-models finds wrong with the image at `url`, in one line; empty if nothing."""
    from ome_zarr_models import v04, v05
    from pydantic import ValidationError

    group = zarr.open_group(for_zarr(url), mode="r", use_consolidated=False)
    version = v05 if group.metadata.zarr_format == 3 else v04
    model = version.ImageLabel if labels else version.Image
    try:
        model.from_zarr(group)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{error.title}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    except Exception as error:
        refuse_unreachable(url, error)
        return first_line(error)
    return ""


def array_at(url: str) -> StoredArray:
    """The array at `url`; VolumeError, with the reason, if there is none that zarr can open."""
    try:
        array = zarr.open_array(for_zarr(url), mode="r")
        unit = array.shards or array.chunks
    except Exception as error:
        refuse_unreachable(url, error)
        raise VolumeError(f"no array can be opened at {url}: {first_line(error)}") from error
    found = StoredArray(url, array.shape, str(array.dtype), unit, array.chunks)
    if 0 in (*array.shape, *unit, *array.chunks) or prod(found.grid) > MAX_FILES:
        raise VolumeError(
            f"{url} has the shape {array.shape} in files of {unit}; expected voxels along every "
            f"axis, in at most {MAX_FILES} files"
        )
    return found
