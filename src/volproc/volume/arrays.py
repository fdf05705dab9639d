"""Arrays without OME-Zarr's metadata: Zarr 2, Zarr 3 and N5, as (z, y, x) boxes of voxels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, Literal, TypeGuard

import numpy as np
import numpy.typing as npt
import zarr

from volproc.errors import VolumeError
from volproc.grid.box import Box, Shape
from volproc.location import entries, located
from volproc.volume.access import (
    exists,
    first_line,
    local_path,
    reaching,
    reading,
    refuse_unreachable,
)
from volproc.volume.describe import attributes_of
from volproc.volume.patient import for_zarr

Format = Literal["zarr", "n5"]

OME_WORDS = {"multiscales", "plate", "well", "bioformats2raw.layout"}
"""One of these among a group's attributes says that it is OME-Zarr's; a list of labels as well."""


@dataclass(frozen=True)
class PlainArray:
    """An array of two or three axes; others have length 1. Pickles as its description.

    `axes` says which stored axis is z, y and x; there is no z in two dimensions. `attributes` are
    the array's own; in N5 those of the folder above as well.
    """

    url: str
    format: Format
    shape: Shape
    chunks: Shape
    dtype: str
    axes: tuple[int | None, int, int]
    attributes: dict[str, Any] = field(default_factory=dict, hash=False)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_array"}

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Voxels of `box`, shape (z, y, x)."""
        with reading(f"{self.url}, voxels {box}"):
            index: list[Any] = [0] * len(self._array.shape)
            for axis, part in zip(self.axes, box.slices, strict=True):
                if axis is not None:
                    index[axis] = part
            values = np.asarray(self._array[tuple(index)], dtype=self.dtype)
            stored = [axis for axis in self.axes if axis is not None]
            order = [sorted(stored).index(axis) for axis in stored]
            return np.ascontiguousarray(values.transpose(order)).reshape(box.shape)

    @cached_property
    def _array(self) -> Any:
        return (
            _open_n5(self.url)
            if self.format == "n5"
            else zarr.open_array(for_zarr(self.url), mode="r")
        )


def what_lies_at(url: str) -> Literal["n5", "array", "ome", "group"]:
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


def zarr_array(url: str) -> PlainArray:
    """The Zarr array at `url`, or the only volume in the group there; VolumeError if none or more.

    Axes that are named z, y and x are found by name; without names they are the last three.
    """
    node = zarr.open(for_zarr(url), mode="r")
    if isinstance(node, zarr.Group):
        url = _only(url, [f"{url}/{path}" for path in _volumes_in(node)])
        node = zarr.open_array(for_zarr(url), mode="r")
    attributes: dict[str, Any] = dict(node.attrs)
    names = getattr(node.metadata, "dimension_names", None) or attributes.get("_ARRAY_DIMENSIONS")
    return _plain(url, "zarr", node.shape, node.chunks, node.dtype, names, attributes)


def n5_array(url: str) -> PlainArray:
    """The N5 data set at `url`, the finest of a pyramid, or the only one; VolumeError if more.

    N5 counts axes x, y, z; the array's are turned round. Needs tensorstore.
    """
    url = _only(url, list(_data_sets(url)))
    attributes = {**n5_attributes(url.rpartition("/")[0]), **n5_attributes(url)}
    array = _open_n5(url)
    listed = attributes.get("axes")
    names = listed[::-1] if _are_names(listed, count=array.ndim) else None
    chunks = array.chunk_layout.read_chunk.shape
    return _plain(url, "n5", array.shape, chunks, array.dtype.numpy_dtype, names, attributes)


def n5_attributes(url: str) -> dict[str, Any]:
    """What the attributes.json of an N5 folder says; nothing if there is none."""
    if not exists(f"{url}/attributes.json"):
        return {}
    with reading(f"{url}/attributes.json"):
        filesystem, path = located(f"{url}/attributes.json")
        found = json.loads(filesystem.cat_file(path))
        return dict(found)


def _plain(
    url: str,
    format: Format,
    shape: Sequence[int],
    chunks: Sequence[int],
    dtype: Any,
    names: Sequence[str] | None,
    attributes: dict[str, Any],
) -> PlainArray:
    axes = _axes(tuple(shape), names)
    if axes is None:
        named = f" of axes {', '.join(map(str, names))}" if names else ""
        raise VolumeError(
            f"{url} has shape {tuple(shape)}{named}; expected z, y, x, or y, x, and all other axes "
            "of length 1: save the volume as an array of its own"
        )

    def space(lengths: Sequence[int]) -> Shape:
        z, y, x = (1 if axis is None else int(lengths[axis]) for axis in axes)
        return z, y, x

    native = str(np.dtype(dtype).newbyteorder("="))
    return PlainArray(url, format, space(shape), space(chunks), native, axes, attributes)


def _axes(
    shape: tuple[int, ...], names: Sequence[str] | None
) -> tuple[int | None, int, int] | None:
    """Where z, y and x are; None if they cannot be told."""
    count = len(shape)
    if names and {"y", "x"} <= set(names):
        z = names.index("z") if "z" in names else None
        found = (z, names.index("y"), names.index("x"))
    elif count >= 2:
        found = (count - 3 if count > 2 else None, count - 2, count - 1)
    else:
        return None
    others = [n for axis, n in enumerate(shape) if axis not in found]
    return found if prod(others) == 1 else None


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
            f"{url} is N5, which tensorstore reads: pip install 'volproc[n5]'"
        ) from error
    folder = local_path(url)
    store: Any = {"driver": "file", "path": str(Path(folder).absolute())} if folder else url
    with reading(url):
        return tensorstore.open({"driver": "n5", "kvstore": store}, open=True, read=True).result().T
