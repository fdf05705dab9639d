"""What the attributes of arrays without OME-Zarr's metadata say of voxel size and position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from volproc.grid.axes import axis_of
from volproc.grid.scale import VoxelNm, parse_voxel_nm
from volproc.grid.units import in_nm, nm_per
from volproc.volume.arrays import PlainArray
from volproc.volume.metadata import PositionNm


def stated_in_nm(array: PlainArray) -> tuple[VoxelNm | None, PositionNm]:
    """Voxel size and place of the first voxel in nm (z, y, x) by one of the conventions below.

    - `transform` {axes, scale, translate, units}, every axis named (Janelia's cosem)
    - `pixelResolution` {dimensions, unit}, x first (n5-viewer)
    - `resolution` or `voxel_size`, and `offset`, with `units` or `unit`, in the order of the
      stored axes (neuroglancer for N5, funlib for Zarr)

    None and 0 if none is followed; lengths without a unit are not trusted.
    """
    found = array.attributes
    factors = found.get("downsamplingFactors")
    if array.format == "n5" and factors and factors != [1] * len(factors) and _is_flat(factors):
        # whether the size is this level's or the finest's differs between writers
        return None, (0.0, 0.0, 0.0)
    transform, resolution = found.get("transform"), found.get("pixelResolution")
    if isinstance(transform, Mapping):
        names, units = transform.get("axes"), transform.get("units")
        return _sizes(names, transform.get("scale"), transform.get("translate"), units)
    if isinstance(resolution, Mapping):
        return _sizes("xyz", resolution.get("dimensions"), None, [resolution.get("unit")] * 3)
    places = zip(array.places.space, "zyx", strict=True)
    names = [name for _, name in sorted((axis, name) for axis, name in places if axis is not None)]
    units = found.get("units", found.get("unit"))
    return _sizes(
        names[::-1] if array.format == "n5" else names,
        found.get("resolution", found.get("voxel_size")),
        found.get("offset"),
        units if isinstance(units, list) else [units] * len(names),
    )


def _is_flat(factors: Any) -> bool:
    """Whether these are one level's factors; a list of lists is of all levels."""
    return isinstance(factors, list) and not any(isinstance(n, list) for n in factors)


def _sizes(names: Any, sizes: Any, offsets: Any, units: Any) -> tuple[VoxelNm | None, PositionNm]:
    try:
        letters = [axis_of(name) for name in names]
        stated = dict(zip(letters, zip(sizes, units, strict=True), strict=True))
        found = [in_nm(*stated[name]) for name in "zyx"]
        if None in found:
            return None, (0.0, 0.0, 0.0)
        at = dict(zip(letters, offsets or [0.0] * len(letters), strict=True))
        z, y, x = (float(at[name]) * (nm_per(stated[name][1]) or 1) for name in "zyx")
    except (TypeError, KeyError, ValueError, AttributeError):  # stated in some other way
        return None, (0.0, 0.0, 0.0)
    return parse_voxel_nm([nm for nm in found if nm is not None]), (z, y, x)
