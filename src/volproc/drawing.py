"""What volunteers drew: strokes, votes of one person on one slice, and all votes on a slice.

Coordinates are continuous, (y, x), in voxels of the slice, with the origin at its corner: voxel i
covers i to i + 1, and is inside a loop if its centre, i + 0.5, is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ends = npt.NDArray[np.intp]
Points = npt.NDArray[np.float32]
"""Shape (n, 2): y and x of the points of a line."""

SMALLEST_UM2 = 0.05
"""Fragments of less than 250 nm across are specks of the labels, and nobody would draw them."""


@dataclass(frozen=True)
class Stroke:
    """One line as it was drawn; a closed one (a polygon) ends where it begins."""

    points: Points
    closed: bool = False


@dataclass(frozen=True)
class Vote:
    """What one volunteer said of one slice; without strokes: there is nothing here."""

    volunteer: str
    strokes: tuple[Stroke, ...] = ()


@dataclass(frozen=True)
class SliceVotes:
    """All votes on slice `z` of the volume, in a region that begins at `origin_yx` of it.

    The strokes' coordinates are seen from the region's corner; `shape_yx` are its voxels, `region`
    is its name.
    """

    z: int
    origin_yx: tuple[int, int]
    shape_yx: tuple[int, int]
    votes: tuple[Vote, ...]
    region: str = ""


@dataclass(frozen=True)
class Patch:
    """Values in a part of a region, from `origin_yx` of the region on; 0 around it."""

    origin_yx: tuple[int, int]
    values: npt.NDArray[Any]

    def onto(self, shape_yx: tuple[int, int]) -> npt.NDArray[Any]:
        """The whole region, with 0 where the patch does not reach."""
        out = np.zeros(shape_yx, dtype=self.values.dtype)
        (y, x), (rows, columns) = self.origin_yx, self.values.shape
        out[y : y + rows, x : x + columns] = self.values
        return out

    def cut(self, start: Ends, stop: Ends) -> npt.NDArray[Any]:
        """The values from voxel `start` (y, x) of the region up to `stop`; 0 around the patch."""
        out = np.zeros(np.subtract(stop, start), dtype=self.values.dtype)
        first = np.asarray(self.origin_yx)
        low, high = np.maximum(start, first), np.minimum(stop, first + self.values.shape)
        if (low < high).all():
            values = self.values[tuple(map(slice, low - first, high - first))]
            out[tuple(map(slice, low - start, high - start))] = values
        return out


Skills = Mapping[str, float]
"""How much a volunteer's vote counts, 0 to 1; 1 for those who are not in it."""


def bounding_box(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Rows and columns of the smallest box around all that is true; None if nothing is.

    >>> bounding_box(np.eye(4, dtype=bool)[:, 1:3])
    (slice(1, 3, None), slice(0, 2, None))
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
