"""Distances between two surfaces of which a block sees a part: whole numbers, which add up.

An element is counted by the block that owns its corner, and finds what is nearest as far as
`most_nm`: what is farther is that far. So a block needs no more around it than that, and no block
size changes a sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np
import numpy.typing as npt

from volproc.stages.array_namespace import Device
from volproc.stages.scores.nearest import Nearest
from volproc.stages.scores.sparse_sums import SparseSums
from volproc.stages.scores.surface_distances import DECIMALS, Distances, SurfaceDistances
from volproc.stages.scores.surface_elements import Elements, element_sizes

UNITS = 2**24
"""Of the largest element, in which sizes are counted: 2^39 of them fit."""
NOTHING = SparseSums(np.empty((0, 2), np.int64), np.empty(0, np.int64))


@dataclass(frozen=True)
class Surface:
    """The elements of one side that a block knows, on a grid with edges of `nm`."""

    elements: Elements
    nm: tuple[float, ...]
    most_nm: float
    device: Device = "cpu"

    @cached_property
    def nearest(self) -> Nearest:
        """Answers how far it is."""
        corners = self.elements.corners
        return Nearest(corners, nm=self.nm, most_nm=self.most_nm, device=self.device)


def surface_sums(
    truth: Surface, result: Surface, *, start: Sequence[int], stop: Sequence[int]
) -> SparseSums:
    """Sizes of the elements with corners in `start` to `stop`, by direction and distance.

    Keys are 0 (from the truth) or 1 (to it), and the distance in millionths of nm.
    """
    sides = ((truth, result), (result, truth))
    parts = [_sums(here, there, n, start, stop) for n, (here, there) in enumerate(sides)]
    return SparseSums.added(parts, nothing=NOTHING)


def distances_of(sums: SparseSums, *, nm: Sequence[float]) -> SurfaceDistances:
    """The distances that sums of all blocks hold."""
    unit = float(element_sizes(nm).max()) / UNITS
    sides = (sums.keys[:, 0] == n for n in (0, 1))
    there, back = (
        Distances(sums.keys[side, 1] / 10**DECIMALS, sums.counts[side] * unit) for side in sides
    )
    return SurfaceDistances(there, back)


def halo_of(nm: Sequence[float], most_nm: float) -> tuple[int, ...]:
    """Voxels beyond a block on each side, with which it finds all within `most_nm`."""
    # a corner lies between two voxels
    return tuple(ceil(most_nm / edge) + 1 for edge in nm)


def _sums(
    here: Surface, there: Surface, direction: int, start: Sequence[int], stop: Sequence[int]
) -> SparseSums:
    own = here.elements.among(start, stop)
    if not len(own):
        return NOTHING
    distances = there.nearest.distances(own.corners)
    keys = np.rint(distances * 10**DECIMALS).astype(np.int64)
    sizes = _whole_sizes(here.nm)[own.codes]
    return SparseSums.of(np.stack([np.full_like(keys, direction), keys], axis=1), sizes)


def _whole_sizes(nm: Sequence[float]) -> npt.NDArray[np.int64]:
    sizes = element_sizes(nm)
    return np.asarray(np.rint(sizes / sizes.max() * UNITS), dtype=np.int64)
