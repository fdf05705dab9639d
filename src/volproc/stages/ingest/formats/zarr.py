"""Chunked arrays: OME-Zarr of any maker, plain Zarr 2 and 3, N5."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import IngestError
from volproc.grid.axes import axis_of
from volproc.grid.box import Box, Shape
from volproc.location import entries, filesystem_of, name_of
from volproc.stages.ingest.formats.zarr_metadata import stated_of
from volproc.stages.ingest.voxel_source import Calibration, Source, reading, stamp
from volproc.volume.access import last_change
from volproc.volume.arrays import PlainArray, level_array, n5_array, what_is_at, zarr_array
from volproc.volume.metadata import VolumeInfo
from volproc.volume.metadata_reader import listed_levels, read_level, understanding
from volproc.volume.ome import NoVoxelSizeError, OtherAxesError
from volproc.volume.store import Volume, open_volume

FEW_ROWS = 4
"""A plane of at least so many chunks is read by rows."""

DESCRIPTIONS = ("zarr.json", ".zarray", ".zattrs", "attributes.json")


@dataclass(frozen=True, kw_only=True)
class ZarrSource(Source):
    """The finest level of an OME-Zarr volume that was opened (whole, or with one level only); or an
    array without OME-Zarr's metadata, or with axes in an order that only its metadata state.
    """

    array: Volume | PlainArray
    channel: int | None = None
    """Of several; None where there is no channel axis."""

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        if isinstance(self.array, Volume):
            return self.array.read(box, channel=self.channel)
        return self.array.read(box)


def open_zarr(url: str, *, axes: str = "", channel: int | None = None) -> ZarrSource:
    """The volume at the path or URL of an OME-Zarr, Zarr or N5, or of an array inside it.

    Of a pyramid the finest level, of several channels the one that is named. `axes` replaces the
    names of the array's axes. IngestError or VolumeError, one line, for several channels
    otherwise, several times, images or arrays, for more than three axes, and for voxels that are
    no plain numbers.
    """
    url = url.rstrip("/")
    with reading(url), understanding(url):
        source = _found(url, axes, channel)
    kind = np.dtype(source.dtype)
    if kind.kind not in "biuf" or kind.itemsize > 8:
        raise IngestError(f"{url} holds {source.dtype} voxels; expected whole numbers or floats")
    return source


def _found(url: str, axes: str, channel: int | None) -> ZarrSource:
    found = what_is_at(url)
    if found == "ome":
        return _ome(url, "", axes, channel)
    inside = _level_inside(url, axes, channel) if found == "array" else None
    plain = n5_array if found == "n5" else zarr_array
    return inside or _plain(plain(url, axes=axes, channel=channel))


def _ome(url: str, path: str, axes: str, channel: int | None) -> ZarrSource:
    """The level called `path`, by default the finest, whatever the order of its axes."""
    try:
        if not axes:
            return _ome_level(url, path, channel=channel)
    except OtherAxesError:
        pass
    level = read_level(url, path)
    array = level_array(level, axes=axes, channel=channel)
    stated = {**level.stated}
    if axes:  # in the stored order
        stated = dict(zip(map(axis_of, axes), level.stated.values(), strict=True))
    sizes, centre = zip(*(stated.get(axis, (None, 0.0)) for axis in "zyx"), strict=True)
    return replace(_plain(array), stated=Calibration(sizes, centre), kind=level.kind)


def _ome_level(url: str, path: str, *, channel: int | None) -> ZarrSource:
    """The level called `path`, by default the finest."""
    stated = True
    try:
        volume = open_volume(url, level=path)
    except NoVoxelSizeError:  # only ratios between levels are known
        stated = False
        volume = open_volume(url, voxel_nm=(1, 1, 1), level=path)
    info = volume.info
    if info.channels and (channel is None or channel >= len(info.channels)):
        raise IngestError(
            f"{url} has {len(info.channels)} channels ({', '.join(info.channels)}); choose one "
            "with --channel, or [ingest] channel, counted from 0"
        )
    _refuse_absent_voxels(info)
    finest = info.levels[0]
    centre = finest.translation_nm
    calibration = (
        Calibration(info.voxel_nm, centre) if stated else Calibration(centre=centre, in_voxels=True)
    )
    return ZarrSource(
        shape=info.shape,
        dtype=info.dtype,
        identity=((info.url, 0, volume.fingerprint),),
        stated=calibration,
        by_rows=_by_rows(info.shape, finest.chunks),
        kind=info.kind,
        array=volume,
        channel=channel if info.channels else None,
    )


def _level_inside(url: str, axes: str, channel: int | None) -> ZarrSource | None:
    """The array at `url` as a level of the OME-Zarr around it; None if it is none."""
    parts = url.split("/")
    for length in range(len(parts) - 1, max(0, len(parts) - 4), -1):  # a path may be 0, or s0/raw
        parent, path = "/".join(parts[:length]), "/".join(parts[length:])
        if path in listed_levels(parent):
            return _ome(parent, path, axes, channel)
    return None


def _refuse_absent_voxels(info: VolumeInfo) -> None:
    """IngestError for a finest level without a chunk beside one with some: not downloaded.

    Its description alone reads as an array of zeros.
    """
    if info.provenance or len(info.levels) == 1:
        return
    there = [level.path for level in info.levels if _has_chunks(f"{info.url}/{level.path}")]
    if there and there[0] != info.levels[0].path:
        raise IngestError(
            f"{info.url}: no chunk of level {info.levels[0].path} is there, as if it had not been "
            f"downloaded; copy it again, or ingest {info.url}/{there[0]}"
        )


def _has_chunks(url: str) -> bool:
    """Whether anything but descriptions is in an array's folder; True where none can look."""
    try:
        names = [name_of(inner) for inner, _ in entries(url)]
    except FileNotFoundError:
        return False
    except Exception:  # file systems have errors of their own: most web servers list nothing
        return True
    return any(name not in (*DESCRIPTIONS, ".zgroup", ".zmetadata") for name in names)


def _plain(array: PlainArray) -> ZarrSource:
    stamps = []
    for name in DESCRIPTIONS:
        filesystem, path = filesystem_of(f"{array.url}/{name}")
        if filesystem.exists(path):
            stamps.append(stamp(f"{array.url}/{name}"))
    return ZarrSource(
        shape=array.shape,
        dtype=array.dtype,
        identity=(*stamps, (name_of(array.url), 0, last_change(array.url))),
        stated=stated_of(array),
        by_rows=_by_rows(array.shape, array.chunks),
        array=array,
    )


def _by_rows(shape: Shape, chunks: Shape) -> bool:
    return FEW_ROWS * chunks[1] <= shape[1]
