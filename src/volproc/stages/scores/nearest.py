"""Distances to the nearest of many corners of a grid: the one place where they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

Corners = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

DENSE = 1 / 12
"""Share of all corners of a box, among which a distance transform of the box is faster than a tree
of them, and smaller (benchmarks/LOG.md)."""
AT_ONCE = 2**20
"""Corners whose distances are computed together."""


class Nearest:
    """The corners `there`, shape (n, axes), of a grid with edges of `nm`.

    What is farther than `most_nm` is that far.
    """

    def __init__(self, there: Corners, *, nm: Sequence[float], most_nm: float = inf) -> None:
        self._there, self._nm, self._most = there, np.array(nm, dtype=np.float64), most_nm

    def distances(self, here: Corners) -> Floats:
        """Of each of the corners `here` in nm, shape (n,)."""
        found = np.full(len(here), self._most, dtype=np.float64)
        if not len(self._there) or not len(here):
            return found
        search = self._dense(here) if self._is_dense() else _Tree(self._there, self._nm)
        for first in range(0, len(here), AT_ONCE):
            part = here[first : first + AT_ONCE]
            # from whole numbers: the same wherever the corners are counted from
            steps = (part - search.nearest(part, self._most)) * self._nm
            distances = np.sqrt((steps**2).sum(axis=1))
            found[first : first + AT_ONCE] = np.minimum(distances, self._most)
        return found

    def _is_dense(self) -> bool:
        extent = self._there.max(axis=0) - self._there.min(axis=0) + 1
        return len(self._there) > DENSE * float(np.prod(extent, dtype=np.float64))

    def _dense(self, here: Corners) -> _Transform:
        ends = [(side.min(axis=0), side.max(axis=0)) for side in (here, self._there)]
        low, high = np.minimum(ends[0][0], ends[1][0]), np.maximum(ends[0][1], ends[1][1])
        return _Transform(self._there, self._nm, low, high)


class _Tree:
    """Time and memory are those of the corners, not of the box."""

    def __init__(self, there: Corners, nm: Floats) -> None:
        self._there, self._nm = there, nm
        # half the time to build, and no slower to ask
        self._tree = cKDTree(there * nm, balanced_tree=False, compact_nodes=False)

    def nearest(self, here: Corners, most_nm: float) -> Corners:
        """The nearest of each; one that is too far where none is within `most_nm`."""
        _, which = self._tree.query(here * self._nm, distance_upper_bound=most_nm)
        found: Corners = self._there[np.minimum(which, len(self._there) - 1)]
        found[which == len(self._there)] = np.iinfo(np.int32).min // 2
        return found


class _Transform:
    """Time and memory are those of the box from `low` to `high`."""

    def __init__(self, there: Corners, nm: Floats, low: Corners, high: Corners) -> None:
        self._low = low
        away = np.ones(high - low + 1, dtype=bool)
        away[tuple((there - low).T)] = False
        self._places = ndimage.distance_transform_edt(
            away, sampling=nm, return_distances=False, return_indices=True
        )

    def nearest(self, here: Corners, most_nm: float) -> Corners:
        """The nearest of each, however far."""
        places = self._places[:, *(here - self._low).T].T
        return np.asarray(places + self._low, dtype=np.int32)
