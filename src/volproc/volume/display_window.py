"""How viewers show an image (its window of grey values, from a sample) and labels (colours)."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.grid.box import Box
from volproc.volume.metadata import Level, Window

Read = Callable[[Box, int], npt.NDArray[Any]]
"""Voxels of a box of a level."""

SAMPLE_VOXELS = 2**24
PERCENTILES = (0.5, 99.5)
COLOURS = 192
"""Ids further apart than this have colours of their own no more."""
GOLDEN = 0.618033988749895


def window_of(levels: tuple[Level, ...], read: Read) -> Window:
    """The window of an image whose levels are all written; the same voxels give the same one."""
    return window(_sample(levels, read))


def window(values: npt.NDArray[Any]) -> Window:
    """Black and white at the 0.5 and 99.5 percentiles of `values`, ends as far as their type goes.

    Floats end at their own least and largest value; those that are not finite do not count.

    >>> window(np.arange(1000, dtype="uint16"))
    Window(min=0, max=65535, start=4, end=995)
    """
    if values.dtype == np.bool_:
        return Window(0, 1, 0, 1)
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
        low, high = (values.min().item(), values.max().item()) if values.size else (0.0, 1.0)
        high = high if high > low else low + max(1.0, abs(low))
    else:
        ends = np.iinfo(values.dtype)
        low, high = int(ends.min), int(ends.max)
    if values.size == 0:
        return Window(low, high, low, high)
    start = np.percentile(values, PERCENTILES[0], method="lower").item()
    end = np.percentile(values, PERCENTILES[1], method="higher").item()
    return Window(low, high, start, end) if start < end else Window(low, high, low, high)


def id_colours(ids: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """A vivid colour for each id from 1 on, shape (..., 3): neighbours in number differ most."""
    hue = (ids.astype(np.float64) - 1) % COLOURS * GOLDEN % 1.0
    wheel = np.abs((hue[..., None] * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    return np.asarray(255 * (0.3 + 0.7 * np.clip(wheel, 0, 1)), dtype=np.uint8)


def _sample(levels: tuple[Level, ...], read: Read) -> npt.NDArray[Any]:
    """The finest level of at most 2^24 voxels, else planes spread over the coarsest."""
    small = [n for n, level in enumerate(levels) if prod(level.shape) <= SAMPLE_VOXELS]
    if small:
        return read(levels[small[0]].box, small[0])
    depth, rows, columns = levels[-1].shape
    count = max(1, SAMPLE_VOXELS // (rows * columns))
    chosen = ((2 * n + 1) * depth // (2 * count) for n in range(count))
    planes = (Box((z, 0, 0), (z + 1, rows, columns)) for z in chosen)
    return np.stack([read(plane, len(levels) - 1) for plane in planes])
