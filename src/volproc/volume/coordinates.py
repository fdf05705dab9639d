"""A level as an xarray.DataArray: voxel centres in nm or um along z, y and x."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from volproc.errors import INSTALL, ConfigError
from volproc.volume.metadata import VolumeInfo

NM_PER = {"nm": 1.0, "um": 1000.0}
"""What positions may be told in."""


def data_array(info: VolumeInfo, level: int, lazy: Callable[[], Any], *, unit: str) -> Any:
    """The level, which `lazy` gives; each coordinate has its `units` among its attributes."""
    try:
        import xarray
    except ImportError as error:
        raise ConfigError(f"to_xarray needs xarray: {INSTALL.format('xarray')}") from error
    if unit not in NM_PER:
        raise ConfigError(f"to_xarray(unit={unit!r}): expected 'nm' or 'um'")
    here = info.levels[level]
    coords: dict[str, Any] = {"c": list(info.channels)} if info.channels else {}
    for axis, n, voxel, first in zip(
        "zyx", here.shape, here.voxel_nm, here.translation_nm, strict=True
    ):
        centres = (first + voxel * np.arange(n)) / NM_PER[unit]
        coords[axis] = (axis, centres, {"units": unit})
    return xarray.DataArray(
        lazy(),
        dims=tuple(coords),
        coords=coords,
        name=info.url.rstrip("/").rpartition("/")[2].removesuffix(".zarr"),
        attrs={"voxel_nm": tuple(here.voxel_nm), "kind": info.kind, "url": info.url},
    )
