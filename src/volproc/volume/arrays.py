"""Arrays without OME-Zarr's metadata: Zarr 2, Zarr 3 and N5, as (z, y, x) boxes of voxels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeGuard

import numpy as np
import numpy.typing as npt
import zarr

from volproc.credentials import with_secrets
from volproc.errors import INSTALL, VolumeError
from volproc.grid.axes import AxesError, Places, places_of
from volproc.grid.box import Box, Shape
from volproc.location import entries, filesystem_of
from volproc.volume.access import (
    exists,
    first_line,
    local_path,
    reaching,
    reading,
    refuse_unreachable,
)
from volproc.volume.metadata_reader import OneLevel, attributes_of, refuse_unbelievable_chunks
from volproc.volume.retrying_store import for_zarr

Format = Literal["zarr", "n5"]

OME_WORDS = {"multiscales", "plate", "well", "bioformats2raw.layout"}
"""One of these among a group's attributes says that it is OME-Zarr's; a list of labels as well."""


@dataclass(frozen=True)
class PlainArray:
    """An array of two or three axes, or that much of one with more. Pickles as its description.

    `attributes` are the array's own; in N5 those of the folder above as well.
    """

    url: str
    format: Format
    shape: Shape
    chunks: Shape
    dtype: str
    places: Places
    attributes: dict[str, Any] = field(default_factory=dict, hash=False)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_array"}

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Voxels of `box`, shape (z, y, x)."""
        with reading(f"{self.url}, voxels {box}"):
            index: list[Any] = list(self.places.fixed)
            for axis, part in zip(self.places.space, box.slices, strict=True):
                if axis is not None:
                    index[axis] = part
            values = np.asarray(self._array[tuple(index)], dtype=self.dtype)
            stored = self.places.stored
            order = [sorted(stored).index(axis) for axis in stored]
            return np.ascontiguousarray(values.transpose(order)).reshape(box.shape)

    @cached_property
    def _array(self) -> Any:
        return (
            _open_n5(self.url)
            if self.format == "n5"
            else zarr.open_array(for_zarr(self.url), mode="r")
        )


def what_is_at(url: str) -> Literal["n5", "array", "ome", "group"]:
    """N5; a Zarr array; a group with OME-Zarr's metadata; or any other Zarr group.

    VolumeError if there is nothing of the kind.
    """
    try:
        node = zarr.open(for_zarr(url), mode="r")
    except Exception as error:
        refuse_unreachable(url, error)
        if exists(f"{url}/attributes.json"):
            return "n5"
        if not exists(url):
            raise VolumeError(f"{url} does not exist; expected a Zarr or N5 folder") from error
        raise VolumeError(f"{url} is neither Zarr nor N5 ({first_line(error)})") from error
    if isinstance(node, zarr.Array):
        return "array"
    attributes = attributes_of(node)
    ome = attributes.get("ome", attributes)
    return "ome" if OME_WORDS & {*ome} or isinstance(ome.get("labels"), list) else "group"


def zarr_array(url: str, *, axes: str = "", channel: int | None = None) -> PlainArray:
    """The Zarr array at `url`, or the only volume in the group there; VolumeError if none or more.

    Axes are found by the names that the array, or `axes`, has for them (`volproc.grid.axes`).
    """
    node = zarr.open(for_zarr(url), mode="r")
    if isinstance(node, zarr.Group):
        url = _only(url, [f"{url}/{path}" for path in _volumes_in(node)])
        node = zarr.open_array(for_zarr(url), mode="r")
    refuse_unbelievable_chunks(node, url)
    attributes: dict[str, Any] = dict(node.attrs)
    named = getattr(node.metadata, "dimension_names", None) or attributes.get("_ARRAY_DIMENSIONS")
    listed = attributes.get("axes") or attributes.get("axis_names")  # funlib's
    names = named or (listed if _are_names(listed, count=node.ndim) else None)
    return _plain(url, "zarr", node, names=axes or names, channel=channel, attributes=attributes)


def level_array(level: OneLevel, *, axes: str = "", channel: int | None = None) -> PlainArray:
    """The array of a level of an OME-Zarr, whatever the order of its axes."""
    node = zarr.open_array(for_zarr(level.url), mode="r")
    names = axes or level.names
    return _plain(level.url, "zarr", node, names=names, channel=channel, attributes={})


def n5_array(url: str, *, axes: str = "", channel: int | None = None) -> PlainArray:
    """The N5 data set at `url`, the finest of a pyramid, or the only one; VolumeError if more.

    N5 counts axes x, y, z; the array's, and those that `axes` names, are turned round. Needs
    tensorstore.
    """
    url = _only(url, list(_data_sets(url)))
    attributes = {**n5_attributes(url.rpartition("/")[0]), **n5_attributes(url)}
    array = _open_n5(url)
    listed = attributes.get("axes")
    names = listed[::-1] if _are_names(listed, count=array.ndim) else None
    return _plain(url, "n5", array, names=axes or names, channel=channel, attributes=attributes)


def n5_attributes(url: str) -> dict[str, Any]:
    """What the attributes.json of an N5 folder says; nothing if there is none."""
    if not exists(f"{url}/attributes.json"):
        return {}
    with reading(f"{url}/attributes.json"):
        filesystem, path = filesystem_of(f"{url}/attributes.json")
        found = json.loads(filesystem.cat_file(path))
        return dict(found)


def _plain(
    url: str,
    format: Format,
    array: Any,
    *,
    names: Sequence[str] | None,
    channel: int | None,
    attributes: dict[str, Any],
) -> PlainArray:
    try:
        places = places_of(array.shape, names, channel=channel)
    except AxesError as error:
        raise VolumeError(f"{url} has {error}") from error
    chunks = array.chunk_layout.read_chunk.shape if format == "n5" else array.chunks
    stored = array.dtype.numpy_dtype if format == "n5" else array.dtype
    dtype = str(np.dtype(stored).newbyteorder("="))
    shape, unit = places.of_space(array.shape), places.of_space(chunks)
    return PlainArray(url, format, shape, unit, dtype, places, attributes)


def _are_names(found: Any, *, count: int) -> TypeGuard[list[str]]:
    return isinstance(found, list) and len(found) == count and set(map(type, found)) == {str}


def _volumes_in(group: zarr.Group) -> list[str]:
    """Arrays of three axes or more anywhere in the group; of two, if there is none of three."""
    found = {
        path: member.ndim
        for path, member in group.members(max_depth=None)
        if isinstance(member, zarr.Array) and member.ndim >= 2
    }
    most = min(3, max(found.values(), default=0))
    return sorted(path for path, ndim in found.items() if ndim >= most)


def _only(url: str, found: list[str]) -> str:
    if len(found) != 1:
        names = ", ".join(found[:8]) + (", ..." if len(found) > 8 else "")
        raise VolumeError(
            f"{url} holds {len(found)} arrays, expected one; name it: {names or 'there is none'}"
        )
    return found[0]


def _data_sets(url: str) -> Iterator[str]:
    """N5 data sets at or below `url`; of a pyramid (s0, s1, ...) the finest only."""
    if "dimensions" in n5_attributes(url):
        yield url
        return
    if "dimensions" in n5_attributes(f"{url}/s0"):
        yield f"{url}/s0"
        return
    with reaching(url):
        inner = [below for below, facts in entries(url) if facts["type"] == "directory"]
    for below in inner:
        yield from _data_sets(below)


def _open_n5(url: str) -> Any:
    """The data set with its axes turned round: z, y, x."""
    try:
        import tensorstore
    except ImportError as error:
        raise VolumeError(
            f"{url} is N5, which tensorstore reads: {INSTALL.format('n5')}"
        ) from error
    folder = local_path(url)
    store: Any = with_secrets(url)
    if folder:
        store = {"driver": "file", "path": str(Path(folder).absolute())}
    with reading(url):
        return tensorstore.open({"driver": "n5", "kvstore": store}, open=True, read=True).result().T
