"""The leak test: which regions are interiors.

An envelope is open where the volume ends, and broken in dividing cells; what leaks is one region
with the outside. So the rule is:

- The region with most surface on the volume's border is the outside (in slices: of each slice).
- Of the others, one counts as an interior if little of its surface lies on the border, the rest
  being covered by envelope, and if it is not larger than a nucleus can be.

Half a ball has a third of its surface on the border, a quarter half of it, an eighth 0.6.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.grid.blocks import Block
from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm
from volproc.stages.interior.geodesic_growth import (
    INSIDE,
    OUTSIDE,
    States,
)
from volproc.stages.interior.options import InteriorOptions
from volproc.stages.objects.array_files import (
    packed,
    read_packed,
)
from volproc.stages.objects.components import equal_values
from volproc.volume.file_io import write_file
from volproc.volume.store import Volume

Integers = npt.NDArray[np.int64]

COLUMNS = 10
_VOXELS, _OPEN, _COVERED, _PLACES = 0, slice(1, 4), slice(4, 7), slice(7, 10)


@dataclass(frozen=True)
class Faces:
    """Per region, a row of sums: voxels, open and covered faces across z, y and x, coordinates.

    Open faces lie on the volume's border, covered ones at anything else but the region.
    """

    ids: Integers
    rows: Integers

    def surface_nm2(
        self, voxel_nm: VoxelNm, *, axes: Iterable[int]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Surface across `axes` of each region, on the volume's border and covered."""
        area = np.zeros(3)
        for axis in axes:
            area[axis] = prod(voxel_nm) / voxel_nm[axis]
        return self.rows[:, _OPEN] @ area, self.rows[:, _COVERED] @ area

    def slices(self, axis: int | None) -> Integers:
        """The slice across `axis` that each region lies in; 0 if regions are not slices."""
        if axis is None:
            return np.zeros(len(self.rows), dtype=np.int64)
        return self.rows[:, _PLACES][:, axis] // self.rows[:, _VOXELS]

    def volume_um3(self, voxel_nm: VoxelNm) -> npt.NDArray[np.float64]:
        """Size of each region."""
        return np.asarray(self.rows[:, _VOXELS] * prod(voxel_nm) * 1e-9)


def joined_faces(parts: Iterable[Faces], *, count: int) -> Faces:
    """The faces of regions 1 to `count` from those of all blocks."""
    rows = np.zeros((count + 1, COLUMNS), dtype=np.int64)
    for part in parts:
        rows[part.ids] += part.rows
    return Faces(np.arange(1, count + 1), rows[1:])


def block_faces(labels: npt.NDArray[Any], *, read: Block) -> Faces:
    """Faces of the regions in the core of a block, from labels of its `read` box."""
    local, ids = equal_values(labels)
    rows = np.zeros((len(ids) + 1, COLUMNS), dtype=np.int64)
    inner = read.core.within(read.read.start)
    _count(local, inner.start, inner.stop, read.read.start, rows)
    there = rows[1:, _VOXELS] > 0
    return Faces(ids[there].astype(np.int64), rows[1:][there])


def verdict_of(
    faces: Faces, *, options: InteriorOptions, voxel_nm: VoxelNm, axis: int | None
) -> States:
    """INSIDE or OUTSIDE for regions 0 (which is none) to n; those of slices have no volume."""
    axes = [at for at in range(3) if at != axis]
    free, covered = faces.surface_nm2(voxel_nm, axes=axes)
    inside = (free <= options.open_share * (free + covered)) & ~_most_open(free, faces.slices(axis))
    if axis is None:
        inside &= faces.volume_um3(voxel_nm) <= options.max_volume_um3
    verdict = np.zeros(len(faces.ids) + 1, dtype=np.uint8)
    verdict[1:] = np.where(inside, INSIDE, OUTSIDE)
    return verdict


@dataclass(frozen=True)
class Verdict:
    """INSIDE or OUTSIDE for each region of a label volume, in a file that tasks read."""

    url: str
    digest: str

    def save(self, verdict: States) -> None:
        """Store it."""
        write_file(self.url, packed({"verdict": verdict}, digest=self.digest))

    def of(self, labels: npt.NDArray[Any]) -> States:
        """The verdict of every voxel's region; FREE, 0, where there is none."""
        states: States = _read(self.url, self.digest)[labels]
        return states


@dataclass(frozen=True)
class CountFaces:
    """Task: voxels and faces of the regions of one block, left in a file."""

    working_bytes: ClassVar = 16
    """Per voxel read: labels, their components, and ids counted from 1 in the block."""

    regions: Volume
    folder: str
    digest: str

    def load(self, block: Block) -> npt.NDArray[Any]:
        """The block, and its neighbours' next voxels."""
        return self.regions.read(block.read)

    def compute(self, block: Block, loaded: npt.NDArray[Any]) -> Faces:
        """Counts."""
        return block_faces(loaded, read=block)

    def store(self, block: Block, result: Faces) -> None:
        """Leave them in a file."""
        content = packed({"ids": result.ids, "rows": result.rows}, digest=self.digest)
        write_file(f"{self.folder}/{block.index}.faces", content)


def stored_faces(folder: str, digest: str, blocks: Iterable[Block]) -> Iterator[Faces]:
    """What `CountFaces` left of every block."""
    for block in blocks:
        found = read_packed(f"{folder}/{block.index}.faces", digest=digest)
        yield Faces(found["ids"], found["rows"])


@lru_cache(maxsize=8)
def _read(url: str, digest: str) -> States:
    found: States = read_packed(url, digest=digest)["verdict"]
    return found


def _most_open(free: npt.NDArray[np.float64], slices: Integers) -> npt.NDArray[np.bool_]:
    """The region of each slice with most surface on the border, the first of equals, if any has."""
    most = np.zeros(len(free), dtype=bool)
    # by slice, most open first, of equals the lower number: the first of each slice is the outside
    order = np.lexsort((np.arange(len(free)), -free, slices))
    _, first = np.unique(slices[order], return_index=True)
    most[order[first]] = True
    return most & (free > 0)


@compiled
def _count(
    labels: npt.NDArray[np.uint32], start: Shape, stop: Shape, origin: Shape, rows: Integers
) -> None:
    """Add the voxels from `start` to `stop` to their regions' rows.

        |  1  1  0  2  2  |      | the volume's border
        o     c  c     c  o      o open and c covered faces of 1 and 2 along this row

    The block is read with one voxel around it, so what is not there is beyond the volume.
    """
    shape = labels.shape
    for z in range(start[0], stop[0]):
        for y in range(start[1], stop[1]):
            for x in range(start[2], stop[2]):
                label = labels[z, y, x]
                if label == 0:
                    continue
                row = rows[label]
                row[0] += 1
                row[7] += z + origin[0]
                row[8] += y + origin[1]
                row[9] += x + origin[2]
                for axis in range(3):
                    for step in (-1, 1):
                        a = z + step * (axis == 0)
                        b = y + step * (axis == 1)
                        c = x + step * (axis == 2)
                        # each voxel looks both ways: a face between two regions counts for both
                        if (
                            a < 0
                            or b < 0
                            or c < 0
                            or a == shape[0]
                            or b == shape[1]
                            or c == shape[2]
                        ):
                            row[1 + axis] += 1
                        elif labels[a, b, c] != label:
                            row[4 + axis] += 1
