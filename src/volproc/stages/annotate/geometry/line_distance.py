"""How far voxels are from a closed line."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.compiled import compiled
from volproc.drawing import Points, Window
from volproc.stages.annotate.geometry.rasterisation import fill, paint


def signed_distance(
    loop: Points, window: Window, *, nm: tuple[float, float], reach_nm: float
) -> npt.NDArray[np.float32]:
    """Distance in nm of the centres of a window's voxels from the line; negative outside.

    Voxels farther away than `reach_nm` have that distance.
    """
    points, shape = (loop - window.start).astype(np.float32), window.shape_yx
    squared = np.full(shape, reach_nm**2, dtype=np.float32)
    _near(points * np.array(nm), nm[0], nm[1], reach_nm, squared)
    runs = fill([points], shape_yx=shape, rule="non-zero")
    inside = paint(runs, Window((0, 0), shape))
    distance = np.sqrt(squared, out=squared)
    return np.negative(distance, where=~inside, out=distance)


@compiled
def _near(points: Any, dy: float, dx: float, reach: float, squared: Any) -> None:
    """Lowers the squared distance of all voxels within `reach` of a closed line."""
    rows, columns = squared.shape
    y0, x0 = points[-1]
    for k in range(len(points)):
        y1, x1 = points[k]
        ey, ex = y1 - y0, x1 - x0
        span = max(ey * ey + ex * ex, 1e-12)  # two points in one place are a point
        # voxels whose centre lies in the box around this piece of the line, grown by the reach
        top = max(int(np.ceil((min(y0, y1) - reach) / dy - 0.5)), 0)
        bottom = min(int(np.floor((max(y0, y1) + reach) / dy + 0.5)), rows)
        left = max(int(np.ceil((min(x0, x1) - reach) / dx - 0.5)), 0)
        right = min(int(np.floor((max(x0, x1) + reach) / dx + 0.5)), columns)
        for row in range(top, bottom):
            y = (row + 0.5) * dy - y0
            for column in range(left, right):
                x = (column + 0.5) * dx - x0
                # the foot of the perpendicular, or the nearer end
                along = min(max((y * ey + x * ex) / span, 0.0), 1.0)
                ay, ax = y - along * ey, x - along * ex
                squared[row, column] = min(squared[row, column], ay * ay + ax * ax)
        y0, x0 = y1, x1
