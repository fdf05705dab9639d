"""Where in an array something is, so that work is done there only."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.drawing import Patch

Ends = npt.NDArray[np.intp]


def bounding_box(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Rows and columns of the smallest box around all that is true; None if nothing is.

    >>> bounding_box(np.eye(4, dtype=bool)[:, 1:3])
    (slice(1, 3, None), slice(0, 2, None))
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def cut(patch: Patch, start: Ends, stop: Ends) -> npt.NDArray[Any]:
    """The patch's values from voxel `start` (y, x) of the region up to `stop`; 0 around it."""
    out = np.zeros(np.subtract(stop, start), dtype=patch.values.dtype)
    first = np.asarray(patch.origin_yx)
    low, high = np.maximum(start, first), np.minimum(stop, first + patch.values.shape)
    if (low < high).all():
        there = tuple(map(slice, low - start, high - start))
        out[there] = patch.values[tuple(map(slice, low - first, high - first))]
    return out
