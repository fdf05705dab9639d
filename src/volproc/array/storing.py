"""`volproc.store`: any dask array as a volume, block by block, with ledger and pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dask.array

from volproc.array.shared_results import settled
from volproc.config.cluster import ClusterOptions
from volproc.engine.events import Watcher
from volproc.errors import VolumeError
from volproc.grid.scale import VoxelNm, parse_voxel_nm
from volproc.progress_bars import shown
from volproc.stages.store.stage import plan_store, run_store
from volproc.stages.store.tasks import StoredKind
from volproc.volume.metadata import PositionNm, Version
from volproc.volume.store import Volume, open_volume
from volproc.workflow.single_stage import LOCAL, runner_for


def store(
    array: Any,
    url: str | Path,
    *,
    like: Volume | str | Path | None = None,
    voxel_nm: Sequence[float] | None = None,
    kind: StoredKind = "image",
    overwrite: bool = False,
    cluster: ClusterOptions | None = None,
    watchers: Sequence[Watcher] = (),
    progress: bool = True,
) -> Volume:
    """The dask array `array` of (z, y, x) as the finished volume at `url`.

    Voxel size and place are those of the level of `like` that has the array's shape, or `voxel_nm`
    (z, y, x) is given. A mask (bool, or whole numbers of which all but 0 are inside) is written as
    0 and 255, labels as unsigned whole numbers; at IMAGE.zarr/labels/NAME viewers lay them over the
    image.

    Each block is computed once, by itself, in a worker: memory is bounded by the block, the chunks
    it meets and what these are computed from. What all blocks need (a mean, the constants of a
    prediction) is computed once before, by the caller's scheduler or client. A call that was
    interrupted goes on where it stopped, if dask gives the same names to the array again; a
    finished volume of another array is refused unless `overwrite`. An xarray.DataArray is taken by
    its data.
    """
    lazy = _lazy(array)
    voxel, corner, version = _placed(lazy, str(url), like, voxel_nm)
    plan = plan_store(lazy, str(url), kind=kind, voxel_nm=voxel, corner_nm=corner, version=version)
    with (
        shown(progress, watchers) as watchers,
        runner_for(str(url), cluster or LOCAL, watchers, overwrite=overwrite) as runner,
    ):
        return run_store(plan, runner, settled=settled)


def _lazy(given: Any) -> dask.array.Array:
    given = given.dask() if isinstance(given, Volume) else given
    data = given.data if hasattr(given, "dims") else given
    lazy = data if isinstance(data, dask.array.Array) else dask.array.from_array(data)
    if lazy.ndim != 3 or not all(n >= 1 for n in lazy.shape):  # NaN where dask does not know it
        raise VolumeError(
            f"an array of shape {lazy.shape} is no volume of z, y and x: store channels one by "
            "one, give a slice an axis (array[None]), and know its chunks (compute_chunk_sizes)"
        )
    return lazy


def _placed(
    array: dask.array.Array,
    url: str,
    like: Volume | str | Path | None,
    voxel_nm: Sequence[float] | None,
) -> tuple[VoxelNm, PositionNm | None, Version]:
    """Voxel size, corner and version of OME-Zarr."""
    if like is None:
        if voxel_nm is None:
            raise VolumeError("store needs like=VOLUME, or voxel_nm=(z, y, x) in nm")
        return parse_voxel_nm(voxel_nm), None, "0.5"
    info = (like if isinstance(like, Volume) else open_volume(like)).info
    inside = url.startswith(f"{info.url.rstrip('/')}/labels/")
    version: Version = info.version if inside else "0.5"  # an image and its labels need one
    if voxel_nm is not None:
        return parse_voxel_nm(voxel_nm), info.corner_nm, version
    same = next((level for level in info.levels if level.shape == array.shape), None)
    if same is None:
        shapes = ", ".join(str(level.shape) for level in info.levels)
        raise VolumeError(
            f"the array has the shape {array.shape}, the levels of {info.url} {shapes}: give "
            "voxel_nm=(z, y, x) as well"
        )
    return same.voxel_nm, info.corner_nm, version
