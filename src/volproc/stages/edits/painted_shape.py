"""Voxels of a stroke or a box: those whose centre lies inside."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, floor
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Box, each
from volproc.grid.scale import VoxelNm
from volproc.stages.edits.requests import EditRequest, Point

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def shape_box(asked: EditRequest, voxel_nm: VoxelNm) -> Box:
    """Voxels around the shape; it may reach beyond the volume."""
    around = asked.radius_nm or 0.0 if asked.shape == "stroke" else 0.0
    low, high = _ends(asked.points)
    return Box(
        each(lambda a, v: floor((a - around) / v), low, voxel_nm),
        each(lambda b, v: ceil((b + around) / v), high, voxel_nm),
    )


def painted(asked: EditRequest, box: Box, voxel_nm: VoxelNm) -> Mask:
    """Voxels of `box` in the shape. Every voxel is decided by its own place, whatever the box."""
    centres: Any = np.ix_(
        *(
            (np.arange(a, b) + 0.5) * v
            for a, b, v in zip(box.start, box.stop, voxel_nm, strict=True)
        )
    )
    if asked.shape == "box":
        low, high = _ends(asked.points)
        sides = [(c >= a) & (c <= b) for c, a, b in zip(centres, low, high, strict=True)]
        return np.asarray(sides[0] & sides[1] & sides[2])
    assert asked.radius_nm is not None
    legs = [*pairwise(asked.points)] or [(asked.points[0], asked.points[0])]
    found = np.zeros(box.shape, dtype=bool)
    for start, end in legs:
        found |= _squared_nm(centres, start, end) <= asked.radius_nm**2
    return found


def _squared_nm(centres: Any, start: Point, end: Point) -> Floats:
    """Squared distance of each centre from the straight line between two points."""
    leg = [b - a for a, b in zip(start, end, strict=True)]
    length = sum(d * d for d in leg)
    away = [c - a for c, a in zip(centres, start, strict=True)]
    along = sum(a * d for a, d in zip(away, leg, strict=True)) / (length or 1.0)
    share = np.clip(along, 0.0, 1.0)
    found: Floats = sum((a - share * d) ** 2 for a, d in zip(away, leg, strict=True))
    return found


def _ends(points: tuple[Point, ...]) -> tuple[Point, Point]:
    low = each(lambda *a: min(a), *points)
    return low, each(lambda *b: max(b), *points)
