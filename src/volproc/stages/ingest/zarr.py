"""Chunked arrays: OME-Zarr of any maker, plain Zarr 2 and 3, N5."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import IngestError, VolumeError
from volproc.grid.box import Box, Shape
from volproc.grid.scale import VoxelNm, parse_voxel_nm
from volproc.location import located
from volproc.stages.ingest.source import Stamp, stamp
from volproc.stages.ingest.units import in_nm
from volproc.volume.access import last_change
from volproc.volume.arrays import PlainArray, n5_array, what_lies_at, zarr_array
from volproc.volume.describe import read_info
from volproc.volume.ome import NoVoxelSizeError
from volproc.volume.store import Volume, open_volume

FEW_ROWS = 4
"""A plane of at least so many chunks is read by rows."""

DESCRIPTIONS = ("zarr.json", ".zarray", ".zattrs", "attributes.json")


@dataclass(frozen=True)
class ZarrLevel:
    """One level of an OME-Zarr volume."""

    volume: Volume
    level: int
    voxel_nm: VoxelNm | None
    identity: tuple[Stamp, ...]
    channel: int | None = None
    """Of several; None where there is no channel axis."""

    @property
    def shape(self) -> Shape:
        """Voxels (z, y, x)."""
        return self.volume.info.levels[self.level].shape

    @property
    def dtype(self) -> str:
        """numpy's name of the voxel type."""
        return self.volume.info.dtype

    @property
    def by_rows(self) -> bool:
        """Whether a plane has several rows of chunks."""
        return _by_rows(self.shape, self.volume.info.levels[self.level].chunks)

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        return self.volume.read(box, level=self.level, channel=self.channel)


@dataclass(frozen=True)
class ZarrArray:
    """An array without OME-Zarr's metadata."""

    array: PlainArray
    voxel_nm: VoxelNm | None
    identity: tuple[Stamp, ...]

    @property
    def shape(self) -> Shape:
        """Voxels (z, y, x)."""
        return self.array.shape

    @property
    def dtype(self) -> str:
        """numpy's name of the voxel type."""
        return self.array.dtype

    @property
    def by_rows(self) -> bool:
        """Whether a plane has several rows of chunks."""
        return _by_rows(self.shape, self.array.chunks)

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        return self.array.read(box)


def open_zarr(url: str, *, channel: int | None = None) -> ZarrLevel | ZarrArray:
    """The volume at the path or URL of an OME-Zarr, Zarr or N5, or of an array inside it.

    Of a pyramid the finest level, of several channels the one that is named. IngestError or
    VolumeError, one line, for several channels otherwise, several times, images or arrays, for
    more than three axes, and for voxels that are no plain numbers.
    """
    url = url.rstrip("/")
    found = what_lies_at(url)
    if found == "ome":
        return _ome_level(url, channel=channel)
    source = (_level_inside(url, channel=channel) if found == "array" else None) or _plain(
        n5_array(url) if found == "n5" else zarr_array(url)
    )
    kind = np.dtype(source.dtype)
    if kind.kind not in "biuf" or kind.itemsize > 8:
        raise IngestError(f"{url} holds {source.dtype} voxels; expected whole numbers or floats")
    return source


def _ome_level(url: str, path: str | None = None, *, channel: int | None) -> ZarrLevel:
    """The level called `path`, by default the finest."""
    stated = True
    try:
        volume = open_volume(url)
    except NoVoxelSizeError:  # only ratios between levels are known
        stated = False
        volume = open_volume(url, voxel_nm=(1, 1, 1))
    info = volume.info
    if info.channels and (channel is None or channel >= len(info.channels)):
        raise IngestError(
            f"{url} has {len(info.channels)} channels ({', '.join(info.channels)}); choose one "
            "with --channel, or [ingest] channel, counted from 0"
        )
    paths = [level.path for level in info.levels]
    level = paths.index(path) if path else 0
    voxel_nm = info.levels[level].voxel_nm if stated else None
    stamps = ((info.url, 0, volume.fingerprint),)
    return ZarrLevel(volume, level, voxel_nm, stamps, channel if info.channels else None)


def _level_inside(url: str, *, channel: int | None) -> ZarrLevel | None:
    """The array at `url` as a level of the OME-Zarr around it; None if it is none."""
    parent, _, path = url.rpartition("/")
    try:
        info = read_info(parent, voxel_nm=(1, 1, 1))
    except VolumeError:
        return None
    listed = path in [level.path for level in info.levels]
    return _ome_level(parent, path, channel=channel) if listed and info.url == parent else None


def _plain(array: PlainArray) -> ZarrArray:
    stamps = []
    for name in DESCRIPTIONS:
        filesystem, path = located(f"{array.url}/{name}")
        if filesystem.exists(path):
            stamps.append(stamp(f"{array.url}/{name}"))
    voxels = (array.url.rpartition("/")[2], 0, last_change(array.url))
    return ZarrArray(array, stated_voxel_nm(array), (*stamps, voxels))


def _by_rows(shape: Shape, chunks: Shape) -> bool:
    return FEW_ROWS * chunks[1] <= shape[1]


def stated_voxel_nm(array: PlainArray) -> VoxelNm | None:
    """Voxel size in nm (z, y, x) by one of the conventions below; None if none is followed.

    - `transform` {axes, scale, units}, every axis named (Janelia's cosem)
    - `pixelResolution` {dimensions, unit}, x first (n5-viewer)
    - `resolution` or `voxel_size` with `units` or `unit`, in the order of the stored axes
      (neuroglancer for N5, funlib for Zarr)

    Lengths without a unit are not trusted.
    """
    found = array.attributes
    factors = found.get("downsamplingFactors")
    if array.format == "n5" and factors and factors != [1] * len(factors) and _is_flat(factors):
        return None  # whether the size is this level's or the finest's differs between writers
    transform, resolution = found.get("transform"), found.get("pixelResolution")
    if isinstance(transform, Mapping):
        return _sizes(transform.get("axes"), transform.get("scale"), transform.get("units"))
    if isinstance(resolution, Mapping):
        return _sizes("xyz", resolution.get("dimensions"), [resolution.get("unit")] * 3)
    places = zip(array.axes, "zyx", strict=True)
    names = [name for _, name in sorted((axis, name) for axis, name in places if axis is not None)]
    units = found.get("units", found.get("unit"))
    return _sizes(
        names[::-1] if array.format == "n5" else names,
        found.get("resolution", found.get("voxel_size")),
        units if isinstance(units, list) else [units] * len(names),
    )


def _is_flat(factors: Any) -> bool:
    """Whether these are one level's factors; a list of lists is of all levels."""
    return isinstance(factors, list) and not any(isinstance(n, list) for n in factors)


def _sizes(names: Any, sizes: Any, units: Any) -> VoxelNm | None:
    try:
        stated = dict(zip(names, zip(sizes, units, strict=True), strict=True))
        found = [in_nm(*stated[name]) for name in "zyx"]
    except (TypeError, KeyError, ValueError, AttributeError):  # stated in some other way
        return None
    return None if None in found else parse_voxel_nm([nm for nm in found if nm is not None])
