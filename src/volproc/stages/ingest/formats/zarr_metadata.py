"""Voxel size and position as arrays without OME-Zarr's metadata state them in their attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from volproc.grid.axes import axis_of
from volproc.grid.box import each
from volproc.grid.units import in_nm, nm_per
from volproc.stages.ingest.voxel_source import Calibration
from volproc.volume.arrays import PlainArray


def stated_of(array: PlainArray) -> Calibration:
    """Voxel size and position by one of the conventions below.

    - `transform` {axes, scale, translate, units}, every axis named (Janelia's cosem)
    - `pixelResolution` {dimensions, unit}, x first (n5-viewer)
    - `resolution` or `voxel_size`, and `offset`, with `units` or `unit`, in the order of the
      stored axes (neuroglancer for N5, funlib for Zarr)

    Nothing if none is followed; lengths without a unit are not trusted.
    """
    found = array.attributes
    factors = found.get("downsamplingFactors")
    if array.format == "n5" and factors and factors != [1] * len(factors) and _is_flat(factors):
        # whether the size is this level's or the finest's differs between writers
        return Calibration()
    transform, resolution = found.get("transform"), found.get("pixelResolution")
    if isinstance(transform, Mapping):
        names, units = transform.get("axes"), transform.get("units")
        return _calibration(names, transform.get("scale"), transform.get("translate"), units)
    if isinstance(resolution, Mapping):
        units = [resolution.get("unit")] * 3
        return _calibration("xyz", resolution.get("dimensions"), None, units)
    places = zip(array.places.space, "zyx", strict=True)
    names = [name for _, name in sorted((axis, name) for axis, name in places if axis is not None)]
    units = found.get("units", found.get("unit"))
    return _calibration(
        names[::-1] if array.format == "n5" else names,
        found.get("resolution", found.get("voxel_size")),
        found.get("offset"),
        units if isinstance(units, list) else [units] * len(names),
    )


def _is_flat(factors: Any) -> bool:
    """Whether these are one level's factors; a list of lists is of all levels."""
    return isinstance(factors, list) and not any(isinstance(n, list) for n in factors)


def _calibration(names: Any, sizes: Any, offsets: Any, units: Any) -> Calibration:
    try:
        letters = [axis_of(name) for name in names]
        size, unit = (dict(zip(letters, v, strict=True)) for v in (sizes, units))
        at = dict(zip(letters, offsets or [0.0] * len(letters), strict=True))
        found = each(lambda a: in_nm(size[a], unit[a]), "zyx")
        centre = each(lambda a: float(at[a]) * (nm_per(unit[a]) or 1), "zyx")
    except (TypeError, KeyError, ValueError, AttributeError):  # stated by some other convention
        return Calibration()
    return Calibration() if None in found else Calibration(found, centre)
