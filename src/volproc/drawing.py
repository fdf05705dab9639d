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
Yx = tuple[int, int]

MIN_COMPONENT_UM2 = 0.05
"""Components of less than 250 nm across are specks of the labels, and nobody would draw them."""


@dataclass(frozen=True)
class Stroke:
    """One line as it was drawn; a closed one (a polygon) ends where it begins."""

    points: Points
    closed: bool = False


@dataclass(frozen=True)
class Vote:
    """What one volunteer drew on one slice; no strokes mean "there is nothing here"."""

    volunteer: str
    strokes: tuple[Stroke, ...] = ()


@dataclass(frozen=True)
class SliceVotes:
    """All votes on slice `z` of the volume, in a region that begins at `origin_yx` of it.

    The strokes' coordinates count from the region's corner; `shape_yx` are its voxels, `region`
    is its name.
    """

    z: int
    origin_yx: Yx
    shape_yx: Yx
    votes: tuple[Vote, ...]
    region: str = ""


@dataclass(frozen=True)
class Window:
    """Voxels of a region: rows and columns from `start` (y, x) up to, not including, `stop`."""

    start: Yx
    stop: Yx

    @classmethod
    def around(cls, low: npt.ArrayLike, high: npt.ArrayLike, shape_yx: Yx) -> Window:
        """All voxels of a region of `shape_yx` that the box from `low` to `high` touches.

        >>> Window.around([-0.5, 2.5], [1.5, 3.5], (9, 9))
        Window(start=(0, 2), stop=(2, 4))
        """
        start = np.clip(np.floor(low), 0, shape_yx).astype(int)
        stop = np.clip(np.ceil(high), start, shape_yx).astype(int)
        return cls((int(start[0]), int(start[1])), (int(stop[0]), int(stop[1])))

    @property
    def shape_yx(self) -> Yx:
        """Rows and columns."""
        return self.stop[0] - self.start[0], self.stop[1] - self.start[1]

    @property
    def slices(self) -> tuple[slice, slice]:
        """What indexes an array of the region."""
        return slice(self.start[0], self.stop[0]), slice(self.start[1], self.stop[1])

    def grow(self, by: npt.ArrayLike, shape_yx: Yx) -> Window:
        """The window with `by` voxels more on every side, within a region of `shape_yx`."""
        return Window.around(np.subtract(self.start, by), np.add(self.stop, by), shape_yx)

    def join(self, other: Window) -> Window:
        """The smallest window that holds both."""
        start, stop = np.minimum(self.start, other.start), np.maximum(self.stop, other.stop)
        return Window.around(start, stop, (int(stop[0]), int(stop[1])))


@dataclass(frozen=True)
class Patch:
    """Values in a part of a region, from `origin_yx` of the region on; 0 around it."""

    origin_yx: Yx
    values: npt.NDArray[Any]

    @property
    def window(self) -> Window:
        """Where the values are."""
        (y, x), (rows, columns) = self.origin_yx, self.values.shape
        return Window((y, x), (y + rows, x + columns))

    def onto(self, shape_yx: Yx) -> npt.NDArray[Any]:
        """The whole region, with 0 where the patch does not reach."""
        return self.cut(Window((0, 0), shape_yx))

    def cut(self, window: Window) -> npt.NDArray[Any]:
        """The values in a window, with 0 where the patch does not reach."""
        out = np.zeros(window.shape_yx, dtype=self.values.dtype)
        low = np.maximum(window.start, self.origin_yx)
        high = np.minimum(window.stop, self.window.stop)
        if (low < high).all():
            there, here = (
                tuple(map(slice, low - origin, high - origin))
                for origin in (window.start, self.origin_yx)
            )
            out[there] = self.values[here]
        return out


Skills = Mapping[str, float]
"""How much a volunteer's vote counts, 0 to 1; 1 for those who are not in it."""


def bounding_box(mask: npt.NDArray[np.bool_]) -> Window | None:
    """The smallest window around all that is true; None if nothing is.

    >>> bounding_box(np.eye(4, dtype=bool)[:, 1:3])
    Window(start=(1, 0), stop=(3, 2))
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return Window((int(rows[0]), int(columns[0])), (int(rows[-1]) + 1, int(columns[-1]) + 1))
