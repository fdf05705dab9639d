"""Distances to the nearest of many corners of a grid: the one place where they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from math import ceil, gamma, inf, pi, prod
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from volproc.compiled import compiled
from volproc.stages.array_namespace import Device, namespace_of, run_on
from volproc.stages.offset_distance import squares_by_offsets

Corners = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

MOST_STEPS = 500
"""Places around a corner that are looked at before a tree is asked: surfaces of a good result lie
within a few steps of the true ones, and a look costs a thousandth of a question to the tree."""
AT_ONCE = 2**20
"""Corners whose distances are computed together."""


class Nearest:
    """The corners `there`, shape (n, axes), of a grid with edges of `nm`.

    What is farther than `most_nm` is that far. On a GPU that has to be finite.
    """

    def __init__(
        self,
        there: Corners,
        *,
        nm: Sequence[float],
        most_nm: float = inf,
        device: Device = "cpu",
    ) -> None:
        self._there, self._nm, self._most = there, tuple(map(float, nm)), most_nm
        self._device = device

    def distances(self, here: Corners) -> Floats:
        """Of each of the corners `here` in nm, shape (n,)."""
        found = np.full(len(here), self._most, dtype=np.float64)
        if self._device == "cuda" and len(self._there) and len(here):
            squares = run_on(
                self._device, squares_at, here, self._there, nm=self._nm, most_nm=self._most
            )
            np.minimum(np.sqrt(squares), self._most, out=found)
        elif len(self._there):
            for first in range(0, len(here), AT_ONCE):
                part = slice(first, first + AT_ONCE)
                found[part] = np.minimum(self._distances(here[part]), self._most)
        return found

    def _distances(self, here: Corners) -> Floats:
        found = self._steps.distances(here)
        if self._steps.reach_nm < self._most:
            far = np.flatnonzero(found == inf)
            if len(far):
                found[far] = self._tree.distances(here[far], self._most)
        return found

    @cached_property
    def _steps(self) -> _Steps:
        return _Steps(self._there, self._nm)

    @cached_property
    def _tree(self) -> _Tree:
        return _Tree(self._there, self._nm)


def squares_at(here: Any, there: Any, *, nm: Sequence[float], most_nm: float) -> Any:
    """Squared distances in nm² from corners `here` to the nearest of `there`; inf beyond `most_nm`.

    On a map of the box around all of them. Sums are taken in the order of `_lengths`.
    """
    xp = namespace_of(here).xp
    low = xp.minimum(here.min(axis=0), there.min(axis=0))
    high = xp.maximum(here.max(axis=0), there.max(axis=0))
    there_map = xp.zeros([int(n) + 1 for n in high - low], dtype=np.bool_)
    there_map[tuple((there - low).T)] = True
    steps = [np.arange(ceil(most_nm / edge) + 1) for edge in nm]
    lengths = [((n * edge) ** 2).tolist() for n, edge in zip(steps, nm, strict=True)]
    found = squares_by_offsets(there_map, lengths, axes=range(len(nm)), dtype="float64")
    return found[tuple((here - low).T)]


class _Steps:
    """Finds what is within `reach_nm`: one place around a corner after another, the nearest first.

    All places on a map of the corners' box, with a margin so that no step leads out of it:

        |margin|margin|--box--|margin|margin|      corners in the inner margins may find some
    """

    def __init__(self, there: Corners, nm: tuple[float, ...]) -> None:
        steps, self._nm, self.reach_nm = _steps_of(nm, MOST_STEPS)
        margin = np.abs(steps).max(axis=0)
        low, high = there.min(axis=0) - margin, there.max(axis=0) + margin
        self._ends, self._first = (low, high), low - margin
        self._shape = tuple((high - low + 1 + 2 * margin).tolist())
        self._map = np.zeros(prod(self._shape), dtype=np.bool_)  # costs what is touched
        for first in range(0, len(there), AT_ONCE):
            self._map[self._places(there[first : first + AT_ONCE])] = True
        self._strides = np.array([prod(self._shape[axis + 1 :]) for axis in range(len(nm))])
        self._steps = steps @ self._strides

    def distances(self, here: Corners) -> Floats:
        """Of each of the corners in nm; inf where none is within reach."""
        found = np.full(len(here), inf)
        low, high = self._ends
        near = np.flatnonzero(((here >= low) & (here <= high)).all(axis=1))
        step = _first_steps(self._places(here[near]), self._steps, self._map)
        found[near] = self._nm[step]
        return found

    def _places(self, corners: Corners) -> npt.NDArray[np.int64]:
        found: npt.NDArray[np.int64] = np.ravel_multi_index(
            tuple((corners - self._first).T), self._shape
        )
        return found


@cache
def _steps_of(nm: tuple[float, ...], number: int) -> tuple[npt.NDArray[np.int64], Floats, float]:
    """About `number` steps, to all places within a reach, the nearest first; how far each leads,
    then inf; and the reach."""
    axes = len(nm)
    ball = pi ** (axes / 2) / gamma(axes / 2 + 1)
    reach_nm = (number * prod(nm) / ball) ** (1 / axes)
    most = [int(reach_nm / edge) for edge in nm]
    steps = np.indices([2 * n + 1 for n in most]).reshape(axes, -1).T - most
    distances = _lengths(steps, nm)
    order = np.argsort(distances, kind="stable")
    order = order[distances[order] <= reach_nm]
    return steps[order], np.append(distances[order], inf), reach_nm


def _lengths(steps: npt.NDArray[np.integer], nm: tuple[float, ...]) -> Floats:
    # from whole numbers: the same wherever the corners are counted from
    return np.asarray(np.sqrt(((steps * np.array(nm)) ** 2).sum(axis=1)))


@compiled
def _first_steps(
    places: npt.NDArray[np.int64], steps: npt.NDArray[np.int64], there: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """The number of the first step from each place that leads to one that is there, else -1."""
    found = np.full(len(places), -1)
    for i in range(len(places)):
        for k in range(len(steps)):
            if there[places[i] + steps[k]]:
                found[i] = k
                break
    return found


class _Tree:
    """Time and memory are those of the corners, not of the box."""

    def __init__(self, there: Corners, nm: tuple[float, ...]) -> None:
        self._there, self._nm = there, nm
        # half the time to build, and no slower to ask
        self._tree = cKDTree(there * np.array(nm), balanced_tree=False, compact_nodes=False)

    def distances(self, here: Corners, most_nm: float) -> Floats:
        """Of each of the corners in nm; inf where none is within `most_nm`."""
        _, which = self._tree.query(here * np.array(self._nm), distance_upper_bound=most_nm)
        found = np.full(len(here), inf)
        known = which < len(self._there)
        found[known] = _lengths(here[known] - self._there[which[known]], self._nm)
        return found
