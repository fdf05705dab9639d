"""Where the votes see something that became no object, coarsely: cells anchored to the volume.

    cell     a cube of a few voxels, larger in larger volumes, so that there are few of them
    weak     voxels of no object whose highest vote reaches half of the threshold

What lies in a cell without an object is no shell around one: it may be an object that was missed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from volproc.grid.box import Box, Shape, each
from volproc.stages.objects.components import Labels
from volproc.stages.scores.sparse_sums import SparseSums

MOST_CELLS = 2**18
LEAST_SIDE = 4
FILLED = 0.5
"""Share of a cell's voxels that are weak, from which it belongs to something missed."""
WEAK, LABELLED = 0, 1
NO_CELLS = SparseSums(np.empty((0, 2), np.int64), np.empty(0, np.int64))


@dataclass(frozen=True)
class Cells:
    """Cubes of `side` voxels over a volume of `shape`."""

    shape: Shape
    side: int

    @classmethod
    def over(cls, shape: Shape) -> Cells:
        """Of the least side with which there are few enough."""
        side = LEAST_SIDE
        while np.prod([-(-n // side) for n in shape], dtype=float) > MOST_CELLS:
            side += 1
        return cls(shape, side)

    @property
    def counts(self) -> Shape:
        """Cells along each axis."""
        return each(lambda n: -(-n // self.side), self.shape)

    def add(self, labels: Labels, weak: npt.NDArray[np.bool_], *, core: Box) -> SparseSums:
        """Weak and labelled voxels of the cells of a `core`; keys are cell and kind."""
        kinds = ((WEAK, weak & (labels == 0)), (LABELLED, labels != 0))
        return SparseSums.added(
            (self._counted(voxels, kind, core) for kind, voxels in kinds), nothing=NO_CELLS
        )

    def _counted(self, voxels: npt.NDArray[np.bool_], kind: int, core: Box) -> SparseSums:
        found = voxels.astype(np.int64)
        cells = []
        for axis, (start, stop) in enumerate(zip(core.start, core.stop, strict=True)):
            own = np.arange(start, stop) // self.side
            first = np.flatnonzero(np.r_[True, own[1:] != own[:-1]])
            found = np.add.reduceat(found, first, axis=axis)
            cells.append(own[first])
        there = np.nonzero(found)
        places = [own[index] for own, index in zip(cells, there, strict=True)]
        number = np.ravel_multi_index(places, self.counts)
        return SparseSums(np.stack([number, np.full_like(number, kind)], axis=1), found[there])

    def lumps(self, sums: SparseSums) -> npt.NDArray[np.int64]:
        """Weak voxels of each lump of neighbouring cells that may be a missed object."""
        weak, labelled = (self._field(sums, kind) for kind in (WEAK, LABELLED))
        full = (weak >= FILLED * self.side**3) & (labelled == 0)
        lumps, count = ndimage.label(full)
        sizes = ndimage.sum_labels(weak, lumps, np.arange(1, count + 1))
        return np.asarray(sizes, dtype=np.int64).reshape(-1)

    def _field(self, sums: SparseSums, kind: int) -> npt.NDArray[np.int64]:
        found = np.zeros(self.counts, np.int64)
        own = sums.keys[:, 1] == kind
        found.reshape(-1)[sums.keys[own, 0]] = sums.counts[own]
        return found
