"""The positions and voxel sizes of the levels of an OME-Zarr, as stated or as the user states."""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul, truediv
from typing import Any

import numpy as np
import zarr

from volproc.grid.box import each
from volproc.grid.scale import VoxelNm, parse_voxel_nm
from volproc.volume.ome import NoVoxelSizeError, Triple, scale_and_translation, spatial_axes


def placed_levels(
    multiscale: dict[str, Any],
    shapes: Sequence[Sequence[int]],
    *,
    url: str,
    voxel_nm: Sequence[float] | None,
) -> list[tuple[VoxelNm, Triple]]:
    """Voxel size and offset of each level in nm, with `voxel_nm` for the finest if it is given.

    `shapes` are the levels' voxels (z, y, x).
    """
    datasets, axes = multiscale["datasets"], multiscale["axes"]
    if voxel_nm is not None:  # whatever unit they state
        axes = [{**axis, "unit": "nanometer"} for axis in axes]
    leading, nm = spatial_axes({"axes": axes}, url=url)

    def stated(dataset: dict[str, Any]) -> tuple[VoxelNm, Triple]:
        space = range(leading, leading + 3)
        return scale_and_translation(dataset, multiscale, space=space, nm=nm, url=url)

    if voxel_nm is None:
        return [stated(dataset) for dataset in datasets]
    try:
        found = [stated(dataset) for dataset in datasets]
    except NoVoxelSizeError:
        found = [(parse_voxel_nm((1, 1, 1)), (0.0, 0.0, 0.0))] * len(datasets)
    return _resized(found, shapes, parse_voxel_nm(voxel_nm))


def _resized(
    found: list[tuple[VoxelNm, Triple]], shapes: Sequence[Sequence[int]], voxel_nm: VoxelNm
) -> list[tuple[VoxelNm, Triple]]:
    """The levels with another finest voxel size; coarser ones follow from their shapes.

    The position in voxels stays the same: an image and a crop of it still overlap.
    """
    factor = each(truediv, voxel_nm, found[0][0])
    ratios = [each(lambda n, m: max(1, round(n / m)), shapes[0], shape) for shape in shapes]
    return [
        (VoxelNm(each(mul, voxel_nm, ratio)), each(mul, offset, factor))
        for (_, offset), ratio in zip(found, ratios, strict=True)
    ]


def with_numbers(dataset: dict[str, Any], group: zarr.Group) -> dict[str, Any]:
    """The dataset with numbers that are in an array (`path`) put in their usual place."""

    def numbers(step: dict[str, Any]) -> dict[str, Any]:
        kind, path = str(step.get("type")), step.get("path")
        array = group.get(path) if path and kind not in step else None
        if not isinstance(array, zarr.Array):
            return step
        return {**step, kind: np.asarray(array[...]).tolist()}

    return {
        **dataset,
        "coordinateTransformations": [
            numbers(step) for step in dataset.get("coordinateTransformations", [])
        ],
    }
