"""The next coarser level of a pyramid, as pure kernels: mean for images, mode for labels."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from volproc.grid.box import Box, Shape, each
from volproc.volume.metadata import Kind, Level


def step_between(finer: Level, coarser: Level) -> Shape:
    """How many voxels of `finer` make one of `coarser`, per axis: 1 or 2."""
    return each(lambda n, m: -(-n // m), finer.shape, coarser.shape)


def source_box(box: Box, *, finer: Level, coarser: Level) -> Box:
    """Voxels of `finer` that make the voxels `box` of `coarser`."""
    step = step_between(finer, coarser)
    start = each(lambda a, s: a * s, box.start, step)
    stop = each(lambda b, s: b * s, box.stop, step)
    return Box(start, stop).clip(finer.box)


def coarsen(values: npt.NDArray[Any], step: Shape, *, kind: Kind) -> npt.NDArray[Any]:
    """Mean (image) or most frequent value (labels) of each `step`, shape rounded up, dtype kept.

    At an odd end only the voxels that exist count. Means of whole numbers are rounded half up;
    of equally frequent labels the one met first in z, y, x order wins, so the result is defined.

    >>> coarsen(np.array([[[1, 2, 4]]], dtype="uint8"), (1, 1, 2), kind="image").tolist()
    [[[2, 4]]]
    """
    if values.ndim == 4:
        return np.stack([coarsen(channel, step, kind=kind) for channel in values])
    shape = each(lambda n, s: -(-n // s), values.shape, step)
    out = np.empty(shape, dtype=values.dtype)
    if kind == "labels":
        _mode(values, out, *step)
    else:
        _mean(values, out, values.dtype.kind in "iu", *step)
    return out


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mean(values: Any, out: Any, whole: bool, dz: int, dy: int, dx: int) -> None:
    nz, ny, nx = values.shape
    for z in range(out.shape[0]):
        z1 = min((z + 1) * dz, nz)
        for y in range(out.shape[1]):
            y1 = min((y + 1) * dy, ny)
            for x in range(out.shape[2]):
                x1 = min((x + 1) * dx, nx)
                total = 0.0  # exact for whole numbers up to 2**53
                for k in range(z * dz, z1):
                    for j in range(y * dy, y1):
                        for i in range(x * dx, x1):
                            total += values[k, j, i]
                mean = total / ((z1 - z * dz) * (y1 - y * dy) * (x1 - x * dx))
                out[z, y, x] = np.floor(mean + 0.5) if whole else mean


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mode(values: Any, out: Any, dz: int, dy: int, dx: int) -> None:
    nz, ny, nx = values.shape
    seen = np.empty(dz * dy * dx, dtype=values.dtype)
    for z in range(out.shape[0]):
        z1 = min((z + 1) * dz, nz)
        for y in range(out.shape[1]):
            y1 = min((y + 1) * dy, ny)
            for x in range(out.shape[2]):
                x1 = min((x + 1) * dx, nx)
                n = 0
                same = True
                for k in range(z * dz, z1):
                    for j in range(y * dy, y1):
                        for i in range(x * dx, x1):
                            seen[n] = values[k, j, i]
                            same = same and seen[n] == seen[0]
                            n += 1
                out[z, y, x] = seen[0] if same else _most_frequent(seen, n)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _most_frequent(seen: Any, n: int) -> Any:
    best = seen[0]
    most = 0
    for a in range(n):
        count = 0
        for b in range(n):
            count += seen[b] == seen[a]
        if count > most:
            most = count
            best = seen[a]
    return best
