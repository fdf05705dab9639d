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

Points = npt.NDArray[np.float32]
"""Shape (n, 2): y and x of the points of a line."""

MIN_UM2 = 0.05
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


Skills = Mapping[str, float]
"""How much a volunteer's vote counts, 0 to 1; 1 for those who are not in it."""
