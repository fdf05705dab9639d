"""What is known of every object: size, box, moments; as sums that add up exactly over blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.grid.box import Shape
from volproc.stages.objects.components import Labels
from volproc.stages.objects.runs import Groups, runs_of

Integers = npt.NDArray[np.int64]

COLUMNS = 18
ROW_BYTES = 8 * COLUMNS
_VOXELS, _START, _STOP, _SUM, _FIRST, _VALUE, _PRODUCTS = 0, 1, 4, 7, 10, 11, 12
PAIRS_OF_AXES = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
"""Which coordinates are multiplied in each column of `Statistics.products`."""


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

    @property
    def value(self) -> Integers:
        """The input's value in the object's voxels; 1 for a mask, (n,)."""
        return self.rows[:, _VALUE]

    @property
    def products(self) -> Integers:
        """Sums of products of the voxels' coordinates (`PAIRS_OF_AXES`), shape (n, 6).

        Modulo 2**64: those of a large object far from the first voxel do not fit, those about its
        centre do, and the remainder is enough to get there (`central_products`).
        """
        return self.rows[:, _PRODUCTS:]

    def take(self, which: npt.NDArray[Any] | slice) -> Statistics:
        """The rows that `which` (indices, a mask or a slice) selects."""
        return Statistics(self.rows[which])

    def merged(self, groups: npt.NDArray[np.integer[Any]], *, count: int) -> Statistics:
        """Row g is the union of the rows of group g; each group below `count` has some."""
        if not count:
            return no_statistics()
        order = np.argsort(groups, kind="stable")
        ordered = self.rows[order]
        begin = np.searchsorted(groups[order], np.arange(count))
        added = np.add.reduceat(ordered, begin)
        lowest = np.minimum.reduceat(ordered[:, : _VALUE + 1], begin)
        added[:, _START:_STOP] = lowest[:, _START:_STOP]
        added[:, _STOP:_SUM] = np.maximum.reduceat(ordered[:, _STOP:_SUM], begin)
        added[:, _FIRST] = lowest[:, _FIRST]
        added[:, _VALUE] = lowest[:, _VALUE]
        return Statistics(added)


def no_statistics() -> Statistics:
    """No objects."""
    return Statistics(np.empty((0, COLUMNS), dtype=np.int64))


def joined(parts: Iterable[Statistics]) -> Statistics:
    """All rows of `parts`, one after another."""
    return Statistics(np.concatenate([no_statistics().rows, *(part.rows for part in parts)]))


def voxel_counts(labels: Labels, count: int) -> Integers:
    """Voxels of each id from 0 (background) to `count`."""
    found = np.zeros(count + 1, dtype=np.int64)
    _count(labels.reshape(-1), found)
    return found


def block_statistics(
    labels: Labels,
    count: int,
    *,
    origin: Shape,
    shape: Shape,
    requested: npt.NDArray[np.bool_] | None = None,
) -> Statistics:
    """Those of `group_statistics` for labels with ids from 1 to `count`."""
    runs = runs_of(labels)
    groups = Groups(runs, runs.values, count)
    return group_statistics(groups, origin=origin, shape=shape, requested=requested)


def group_statistics(
    groups: Groups,
    *,
    origin: Shape,
    shape: Shape,
    requested: npt.NDArray[np.bool_] | None = None,
) -> Statistics:
    """A row for each group of a block that starts at `origin` of a volume of `shape`.

    Only of those that are `requested`, shape (count,), in their order.
    """
    row = np.zeros(groups.count + 1, dtype=np.uint32)
    chosen = slice(1, None) if requested is None else np.flatnonzero(requested) + 1
    row[chosen] = np.arange(1, row[chosen].size + 1)
    rows = np.zeros((int(row.max()), COLUMNS), dtype=np.int64)
    rows[:, _VALUE] = 1
    runs = groups.runs
    of_run = row[groups.numbers]
    _accumulate(runs.rows, runs.start, runs.stop, of_run, runs.shape[1], origin, shape, rows)
    return Statistics(rows)


def with_values(objects: Statistics, values: Integers) -> Statistics:
    """The same objects, and the input's value in each."""
    rows = objects.rows.copy()
    rows[:, _VALUE] = values
    return Statistics(rows)


def central_products(objects: Statistics) -> tuple[npt.NDArray[np.float64], ...]:
    """Centroids, shape (n, 3), and sums of products about them (`PAIRS_OF_AXES`), shape (n, 6).

    Exact whole numbers until the last subtraction. They fit for objects of up to 10^12 voxels.
    """
    n, sums = objects.voxels, objects.sums
    centre = sums // n[:, None]
    rest = (sums - centre * n[:, None]).astype(np.float64)
    about = np.empty((len(n), len(PAIRS_OF_AXES)), dtype=np.float64)
    for column, (a, b) in enumerate(PAIRS_OF_AXES):
        # modulo 2**64 on purpose, until the result is about the centre and small enough
        moved = objects.products[:, column] - centre[:, a] * sums[:, b]
        moved = moved - centre[:, b] * (sums[:, a] - centre[:, a] * n)
        about[:, column] = moved - rest[:, a] * rest[:, b] / n
    return sums / n[:, None], about


@compiled
def _count(labels: Labels, found: Integers) -> None:
    last, run = np.uint32(0), 0
    for i in range(labels.size):
        if labels[i] != last:
            found[last] += run
            last, run = labels[i], 0
        run += 1
    found[last] += run


@compiled
def _accumulate(
    first: Any,
    start: Any,
    stop: Any,
    of_run: npt.NDArray[np.uint32],
    height: int,
    origin: Shape,
    shape: Shape,
    rows: Integers,
) -> None:
    for line in range(len(first) - 1):
        z, y = line // height + origin[0], line % height + origin[1]
        place = (z * shape[1] + y) * shape[2] + origin[2]
        for run in range(first[line], first[line + 1]):
            if of_run[run]:
                lowest = (z, y, start[run] + origin[2])
                _add_run(rows[of_run[run] - 1], lowest, stop[run] - start[run], place + start[run])


@compiled
def _add_run(row: Integers, lowest: Shape, length: int, place: int) -> None:
    z, y, x = lowest
    if row[0] == 0:
        row[1], row[2], row[3], row[4], row[5], row[6] = z, y, x, z + 1, y + 1, x + length
        row[10] = place
    else:
        # z never falls while the block is read, so the first run has the lowest
        row[2], row[3] = min(row[2], y), min(row[3], x)
        row[4], row[5], row[6] = z + 1, max(row[5], y + 1), max(row[6], x + length)
    # the run is x, x + 1 to x + n - 1: closed forms of the sums of 0 to n - 1 and of their squares
    steps = length * (length - 1) // 2
    along = length * x + steps
    row[0] += length
    row[7] += length * z
    row[8] += length * y
    row[9] += along
    row[12] += length * z * z
    row[13] += length * y * y
    row[14] += length * x * x + 2 * x * steps + steps * (2 * length - 1) // 3
    row[15] += length * z * y
    row[16] += z * along
    row[17] += y * along
