"""Which objects are kept. To keep other objects, add a rule to `RULES` and an option in config/."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm
from volproc.stages.label.options import LabelOptions
from volproc.stages.objects.shape import elongation, extents_nm, touches_border
from volproc.stages.objects.statistics import Integers, Statistics

Chosen = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Criteria:
    """The options, and what is needed to apply them to numbers in voxels."""

    options: LabelOptions
    shape: Shape
    voxel_nm: VoxelNm

    @property
    def minimum(self) -> int:
        """Voxels below which a whole object is dropped."""
        return minimum_voxels(self.options.min_volume_um3, voxel_nm=self.voxel_nm)

    def broken(self, objects: Statistics) -> npt.NDArray[np.intp]:
        """For every whole object the first rule that it breaks, counted from 1; 0 to keep it."""
        first = np.zeros(len(objects), dtype=np.intp)
        for number, breaks in enumerate(RULES.values(), start=1):
            # later rules (eigenvalues) see only those that are left
            left = np.flatnonzero(first == 0)
            first[left[breaks(self, objects.take(left))]] = number
        return first


def minimum_voxels(min_volume_um3: float, *, voxel_nm: VoxelNm) -> int:
    """Voxels from which an object has at least `min_volume_um3`.

    >>> minimum_voxels(1.25, voxel_nm=VoxelNm((50, 50, 50)))
    10000
    """
    # 1.25 / 0.000125 is a little over 10000 in floats: allow for what no measurement resolves
    return max(1, ceil(min_volume_um3 * 1e9 / prod(voxel_nm) * (1 - 1e-9)))


def _too_small(criteria: Criteria, objects: Statistics) -> Chosen:
    return np.asarray(objects.voxels < criteria.minimum)


def _too_large(criteria: Criteria, objects: Statistics) -> Chosen:
    most = criteria.options.max_volume_um3
    if most is None:
        return _none(objects)
    voxels = floor(most * 1e9 / prod(criteria.voxel_nm) * (1 + 1e-9))
    return np.asarray(objects.voxels > voxels)


def _at_border(criteria: Criteria, objects: Statistics) -> Chosen:
    if criteria.options.border == "keep":
        return _none(objects)
    return touches_border(objects, shape=criteria.shape)


def _too_short(criteria: Criteria, objects: Statistics) -> Chosen:
    least = np.array(criteria.options.min_extent_nm) * (1 - 1e-9)
    return np.asarray((extents_nm(objects, voxel_nm=criteria.voxel_nm) < least).any(axis=1))


def _too_long(criteria: Criteria, objects: Statistics) -> Chosen:
    if criteria.options.max_extent_nm is None:
        return _none(objects)
    most = np.array(criteria.options.max_extent_nm) * (1 + 1e-9)
    return np.asarray((extents_nm(objects, voxel_nm=criteria.voxel_nm) > most).any(axis=1))


def _too_elongated(criteria: Criteria, objects: Statistics) -> Chosen:
    most = criteria.options.max_elongation
    if most is None:
        return _none(objects)
    return np.asarray(elongation(objects, voxel_nm=criteria.voxel_nm) > most * (1 + 1e-9))


def _none(objects: Statistics) -> Chosen:
    return np.zeros(len(objects), dtype=bool)


RULES: dict[str, Callable[[Criteria, Statistics], Chosen]] = {
    "min_volume_um3": _too_small,
    "max_volume_um3": _too_large,
    "border": _at_border,
    "min_extent_nm": _too_short,
    "max_extent_nm": _too_long,
    "max_elongation": _too_elongated,
}
"""By the option that sets it: which objects break the rule."""


@dataclass(frozen=True)
class Largest:
    """The n largest of all objects, from parts of them in any order; of equals the earlier ones.

    Stores at most n objects: `voxels` and `first` of each, the largest first.
    """

    count: int
    voxels: Integers
    first: Integers

    def joined(self, objects: Statistics) -> Largest:
        """The same of these and more objects."""
        voxels = np.concatenate([self.voxels, objects.voxels])
        first = np.concatenate([self.first, objects.first])
        best = np.lexsort((first, -voxels))[: self.count]
        return Largest(self.count, voxels[best], first[best])

    def has(self, objects: Statistics) -> Chosen:
        """Which of the objects are among them, (n,)."""
        if len(self.voxels) < self.count:
            return np.ones(len(objects), dtype=bool)
        least, last = self.voxels[-1], self.first[-1]
        level = (objects.voxels == least) & (objects.first <= last)
        return np.asarray((objects.voxels > least) | level)


def largest(count: int) -> Largest:
    """None of any objects yet."""
    nothing: Any = np.empty(0, dtype=np.int64)
    return Largest(count, nothing, nothing)
