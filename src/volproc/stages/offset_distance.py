"""Squared distances up to a reach, in whole arrays at once: for GPUs, and for any array library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from volproc.stages.array_namespace import namespace_of


def squares_by_offsets(
    mask: Any, squares: Sequence[Sequence[float]], *, axes: Sequence[int], dtype: str
) -> Any:
    """Squared distance from each voxel to the nearest of `mask`; inf where none is within reach.

    `squares[axis][n]` is the square of n voxels along an axis; their number is the reach. One axis
    of `axes` after the other, each the minimum over all offsets within reach: sums of at most three
    squares in this order, so that every bit is known. A transform without a reach, such as
    cupyx's, would take other ties and depend on what lies beyond a block's halo.
    """
    xp = namespace_of(mask).xp
    found = xp.full(mask.shape, xp.inf, dtype=dtype)
    found[mask] = 0
    for axis in axes:
        found = _nearest_along(found, squares[axis], axis)
    return found


def towards(values: Any, axis: int, step: int) -> tuple[Any, Any]:
    """Views of `values` that are `step` voxels apart along an axis: from the first, and to the
    last."""
    before = (slice(None),) * axis
    end = values.shape[axis]
    return values[(*before, slice(0, end - step))], values[(*before, slice(step, end))]


def _nearest_along(values: Any, squares: Sequence[float], axis: int) -> Any:
    minimum, found = namespace_of(values).xp.minimum, values.copy()
    for step in range(1, min(len(squares), values.shape[axis])):
        square = float(squares[step])
        (first, last), (to_first, to_last) = (towards(a, axis, step) for a in (values, found))
        minimum(to_first, last + square, out=to_first)
        minimum(to_last, first + square, out=to_last)
    return found
