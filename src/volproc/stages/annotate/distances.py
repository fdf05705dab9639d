"""How far the places of a grid are from the lines that volunteers drew, and their middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from volproc.drawing import Points
from volproc.stages.annotate.rasterise import fill, paint

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Grid:
    """Cells of `step` voxels (y, x) from voxel `origin` on, which may lie outside the image."""

    origin: tuple[int, int]
    step: tuple[int, int]
    shape: tuple[int, int]

    def place(self, points: Points) -> Points:
        """Points in voxels of the slice, in cells from the grid's corner."""
        return ((points - self.origin) / self.step).astype(np.float32)


def signed_distances(
    loops: Sequence[Points], grid: Grid, *, nm: tuple[float, float], reach_nm: float
) -> Floats:
    """Distance in nm of the centres of all cells from the nearest line; negative outside.

    Cells farther away than `reach_nm` have that distance.
    """
    size = np.multiply(grid.step, nm)
    squared = np.full(grid.shape, reach_nm**2, dtype=np.float32)
    inside = np.zeros(grid.shape, dtype=np.bool_)
    for loop in loops:
        points = grid.place(loop)
        _near(points * size, size[0], size[1], reach_nm, squared)
        runs = fill([points], shape_yx=grid.shape, rule="non-zero")
        inside |= paint(runs, origin_yx=(0, 0), shape_yx=grid.shape)
    return np.where(inside, np.sqrt(squared), -np.sqrt(squared))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _near(points: Any, dy: float, dx: float, reach: float, squared: Any) -> None:
    """Lowers the squared distance of all cells within `reach` of a closed line."""
    rows, columns = squared.shape
    y0, x0 = points[-1]
    for k in range(len(points)):
        y1, x1 = points[k]
        ey, ex = y1 - y0, x1 - x0
        span = ey * ey + ex * ex
        if k < len(points) - 1 and span < dy * dx / 4:
            continue
        top = max(int((min(y0, y1) - reach) / dy), 0)
        bottom = min(int((max(y0, y1) + reach) / dy) + 1, rows)
        left = max(int((min(x0, x1) - reach) / dx), 0)
        right = min(int((max(x0, x1) + reach) / dx) + 1, columns)
        for row in range(top, bottom):
            y = (row + 0.5) * dy - y0
            for column in range(left, right):
                x = (column + 0.5) * dx - x0
                t = (y * ey + x * ex) / span if span > 0 else 0.0
                t = min(max(t, 0.0), 1.0)
                ay, ax = y - t * ey, x - t * ex
                squared[row, column] = min(squared[row, column], ay * ay + ax * ax)
        y0, x0 = y1, x1


def middle(
    distances: Floats, spreads: npt.NDArray[np.float64], *, degrees: float, rounds: int
) -> Floats:
    """The most likely distance of each cell, from those (n, cells) to n lines.

    Line i errs by `spreads[i]` nm with the heavy tails of a t-distribution with so many `degrees`
    of freedom, so the mean counts where lines agree, and lines far from the others do not. Found
    by weighing anew (Lange, Little and Taylor, JASA 84:881, 1989) from the weighted median on.
    """
    out = np.empty(distances.shape[1], dtype=np.float32)
    _middle(distances, spreads, degrees, rounds, out)
    return out


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _middle(distances: Any, spreads: Any, degrees: float, rounds: int, out: Any) -> None:
    count, cells = distances.shape
    weights = 1 / (spreads * spreads)
    half = weights.sum() / 2
    values = np.empty(count)
    for cell in range(cells):
        first = distances[0, cell]
        same = True
        for i in range(count):
            values[i] = distances[i, cell]
            same = same and values[i] == first
        if same:
            out[cell] = first
            continue
        centre = _median(values, weights, half)
        for _ in range(rounds):
            total = 0.0
            summed = 0.0
            for i in range(count):
                off = values[i] - centre
                weight = weights[i] / (degrees + off * off * weights[i])
                total += weight
                summed += weight * values[i]
            centre = summed / total
        out[cell] = centre


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _median(values: Any, weights: Any, half: float) -> Any:
    """Half the weight is on either side; the mean of two values where both serve."""
    order = np.argsort(values)
    below = 0.0
    for k in range(len(order)):
        below += weights[order[k]]
        if below > half * (1 + 1e-9):
            return values[order[k]]
        if below > half * (1 - 1e-9):
            return (values[order[k]] + values[order[min(k + 1, len(order) - 1)]]) / 2
    return values[order[-1]]


def to_voxels(
    cells: Floats,
    step: tuple[int, int],
    offset: tuple[int, int],
    shape_yx: tuple[int, int],
) -> Floats:
    """Values at the centres of cells of `step` voxels, between them for voxels, linearly.

    The first voxel lies `offset` voxels after the first cell's corner.
    """
    out = np.empty(shape_yx, dtype=np.float32)
    _between(cells, *step, *offset, out)
    return out


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _between(cells: Any, dy: int, dx: int, oy: int, ox: int, out: Any) -> None:
    rows, columns = cells.shape
    for y in range(out.shape[0]):
        v = min(max((y + oy + 0.5) / dy - 0.5, 0.0), rows - 1.0)
        j = min(int(v), max(rows - 2, 0))
        below = min(j + 1, rows - 1)
        v -= j
        for x in range(out.shape[1]):
            u = min(max((x + ox + 0.5) / dx - 0.5, 0.0), columns - 1.0)
            i = min(int(u), max(columns - 2, 0))
            right = min(i + 1, columns - 1)
            u -= i
            top = cells[j, i] * (1 - u) + cells[j, right] * u
            bottom = cells[below, i] * (1 - u) + cells[below, right] * u
            out[y, x] = top * (1 - v) + bottom * v
