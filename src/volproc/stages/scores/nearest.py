"""Distances to the nearest of many corners of a grid: the one place where they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Corners = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Nearest:
    """The corners `there`, shape (n, axes), of a grid with edges of `nm`.

    What is farther than `most_nm` is that far. A tree rather than a distance transform: its time
    and memory are those of the corners, not of the voxels (benchmarks/LOG.md).
    """

    def __init__(self, there: Corners, *, nm: Sequence[float], most_nm: float = inf) -> None:
        self._there, self._nm, self._most = there, np.array(nm, dtype=np.float64), most_nm
        # halves of boxes rather than of points: a third of the time to build
        points = there * self._nm
        self._tree = cKDTree(points, balanced_tree=False, compact_nodes=False)

    def distances(self, here: Corners) -> Floats:
        """Of each of the corners `here` in nm, shape (n,)."""
        found = np.full(len(here), self._most, dtype=np.float64)
        if not len(self._there) or not len(here):
            return found
        _, which = self._tree.query(here * self._nm, distance_upper_bound=self._most)
        near = which < len(self._there)
        # from whole numbers: the same wherever the corners are counted from
        steps = (here[near] - self._there[which[near]]) * self._nm
        found[near] = np.minimum(np.sqrt((steps**2).sum(axis=1)), self._most)
        return found
