"""What is known of every object: size, box, centroid; as sums that add up exactly over blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from volproc.grid.box import Shape
from volproc.grid.scale import VoxelNm
from volproc.stages.label.components import Labels

Integers = npt.NDArray[np.int64]

COLUMNS = 11
_VOXELS, _START, _STOP, _SUM, _FIRST = 0, 1, 4, 7, 10


@dataclass(frozen=True)
class Statistics:
    """Numbers about n objects, one row each: integers, so that no order of adding changes them.

    Everything counts from the whole volume's first voxel, whatever block it was found in.
    """

    rows: Integers

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def voxels(self) -> Integers:
        """Size in voxels, shape (n,)."""
        return self.rows[:, _VOXELS]

    @property
    def start(self) -> Integers:
        """First voxel of the bounding box, shape (n, 3)."""
        return self.rows[:, _START:_STOP]

    @property
    def stop(self) -> Integers:
        """The voxel after the last one of the bounding box, shape (n, 3)."""
        return self.rows[:, _STOP:_SUM]

    @property
    def sums(self) -> Integers:
        """Sums of the voxels' coordinates, shape (n, 3)."""
        return self.rows[:, _SUM:_FIRST]

    @property
    def first(self) -> Integers:
        """Place of the object's first voxel when the whole volume is read row by row, (n,)."""
        return self.rows[:, _FIRST]

    def take(self, which: npt.NDArray[Any]) -> Statistics:
        """The rows that `which` (indices or a mask) selects."""
        return Statistics(self.rows[which])

    def merged(self, groups: npt.NDArray[np.integer[Any]], *, count: int) -> Statistics:
        """Row g is the union of the rows of group g; each group below `count` has some."""
        if not count:
            return no_statistics()
        order = np.argsort(groups, kind="stable")
        ordered = self.rows[order]
        begin = np.searchsorted(groups[order], np.arange(count))
        added = np.add.reduceat(ordered, begin)
        lowest = np.minimum.reduceat(ordered, begin)
        added[:, _START:_STOP] = lowest[:, _START:_STOP]
        added[:, _STOP:_SUM] = np.maximum.reduceat(ordered[:, _STOP:_SUM], begin)
        added[:, _FIRST] = lowest[:, _FIRST]
        return Statistics(added)


def no_statistics() -> Statistics:
    """No objects."""
    return Statistics(np.empty((0, COLUMNS), dtype=np.int64))


def joined(parts: Iterable[Statistics]) -> Statistics:
    """All rows of `parts`, one after another."""
    return Statistics(np.concatenate([no_statistics().rows, *(part.rows for part in parts)]))


def block_statistics(labels: Labels, count: int, *, origin: Shape, shape: Shape) -> Statistics:
    """Row i is about label i + 1 of a block that starts at `origin` of a volume of `shape`."""
    rows = np.zeros((count, COLUMNS), dtype=np.int64)
    _accumulate(labels, origin, shape, rows)
    return Statistics(rows)


def describe(
    objects: Statistics, *, voxel_nm: VoxelNm, shape: Shape
) -> dict[str, npt.NDArray[Any]]:
    """Columns of the table of objects; ids are 1 to n.

    Coordinates in voxels are indices (a centroid of 2.0 is the centre of voxel 2, `stop` is
    exclusive). In nm they count from the volume's corner: voxel i covers i to i + 1 voxel sizes.
    """
    size = np.array(voxel_nm)
    centroid = objects.sums / objects.voxels[:, None]
    inside = (objects.start > 0).all(axis=1) & (objects.stop < np.array(shape)).all(axis=1)
    places = {
        "start_{}": objects.start,
        "stop_{}": objects.stop,
        "centroid_{}": centroid,
        "start_{}_nm": objects.start * size,
        "stop_{}_nm": objects.stop * size,
        "centroid_{}_nm": (centroid + 0.5) * size,
    }
    return {
        "id": np.arange(1, len(objects) + 1),
        "voxels": objects.voxels,
        "volume_um3": objects.voxels * float(size.prod()) * 1e-9,
        **{
            name.format(axis): values[:, i]
            for name, values in places.items()
            for i, axis in enumerate("zyx")
        },
        "touches_border": ~inside,
    }


def to_csv(columns: Mapping[str, npt.NDArray[Any]]) -> str:
    """A table with a header line, as pandas and spreadsheets read it.

    >>> to_csv({"id": np.array([1]), "centroid_z_nm": np.array([100 / 3])})
    'id,centroid_z_nm\\n1,33.3333333\\n'
    """
    texts = [map(_number, values.tolist()) for values in columns.values()]
    lines = [",".join(columns), *(",".join(row) for row in zip(*texts, strict=True))]
    return "\n".join(lines) + "\n"


def _number(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _accumulate(labels: Labels, origin: Shape, shape: Shape, rows: Integers) -> None:
    """One pass, run by run along x: about three times as fast as voxel by voxel."""
    depth, height, width = labels.shape
    for z in range(depth):
        for y in range(height):
            place = ((z + origin[0]) * shape[1] + y + origin[1]) * shape[2] + origin[2]
            x = 0
            while x < width:
                label = labels[z, y, x]
                begin = x
                x += 1
                while x < width and labels[z, y, x] == label:
                    x += 1
                if label:
                    lowest = (z + origin[0], y + origin[1], begin + origin[2])
                    _add_run(rows[label - 1], lowest, x - begin, place + begin)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_run(row: Integers, lowest: Shape, length: int, place: int) -> None:
    z, y, x = lowest
    if row[0] == 0:
        row[1], row[2], row[3], row[4], row[5], row[6] = z, y, x, z + 1, y + 1, x + length
        row[10] = place
    else:
        # z never falls while the block is read, so the first run has the lowest
        row[2], row[3] = min(row[2], y), min(row[3], x)
        row[4], row[5], row[6] = z + 1, max(row[5], y + 1), max(row[6], x + length)
    row[0] += length
    row[7] += length * z
    row[8] += length * y
    row[9] += length * x + length * (length - 1) // 2
