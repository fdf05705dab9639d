"""Bringing every slice to one mean and spread, with a table computed once for the volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

SliceTable = tuple[tuple[float, float], ...]
"""Scale and offset of every slice: value * scale + offset."""


def moments(plane: npt.NDArray[Any]) -> tuple[float, float]:
    """Mean and standard deviation of a slice, saturated voxels of whole-number types left out."""
    values = plane
    if plane.dtype.kind in "iu":
        ends = np.iinfo(plane.dtype)
        values = plane[(plane > ends.min) & (plane < ends.max)]
    if values.size == 0:
        return 0.0, 0.0
    return float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))


def matching(found: Sequence[tuple[float, float]]) -> SliceTable:
    """The scales and offsets that give all slices the median mean and spread.

    A slice without spread (blank) stays as it is.
    """
    good = [(mean, spread) for mean, spread in found if spread > 0]
    if not good:
        return tuple((1.0, 0.0) for _ in found)
    goal_mean, goal_spread = np.median(np.array(good), axis=0).tolist()
    table = []
    for mean, spread in found:
        scale = goal_spread / spread if spread > 0 else 1.0
        table.append((scale, goal_mean - mean * scale if spread > 0 else 0.0))
    return tuple(table)


def matched(values: npt.NDArray[Any], table: SliceTable) -> npt.NDArray[Any]:
    """`values` (z, y, x) with each plane scaled by its row of `table`; the type is kept.

    Voxels saturated before stay saturated: they are lost or padding, not a grey value.
    """
    out = np.empty_like(values)
    for plane, new, (scale, offset) in zip(values, out, table, strict=True):
        scaled = plane.astype(np.float32) * np.float32(scale) + np.float32(offset)
        if values.dtype.kind in "iu":
            ends = np.iinfo(values.dtype)
            whole = np.clip(np.rint(scaled), ends.min, ends.max)
            lost = (plane == ends.min) | (plane == ends.max)
            new[:] = np.where(lost, plane, whole.astype(values.dtype))
        else:
            new[:] = scaled
    return out
