"""Fusion of the votes of three axes, on uint8, so that every caller gets the same bits.

`votes` have the shape (axes, z, y, x), probabilities times 255. The modes:

    union       yes where some axis says yes (the published rule)       0 or 255
    majority    yes where more than half of the axes say yes            0 or 255
    mean        the mean, rounded half up                               probability times 255
    max         the highest                                             probability times 255
    weighted    the mean with a weight per axis, rounded half up        probability times 255

An axis says yes from `level_of(threshold)` on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

Array = TypeVar("Array")

Fusion = Literal["union", "majority", "mean", "max", "weighted"]

FUSIONS: tuple[Fusion, ...] = ("union", "majority", "mean", "max")
"""Modes that need the votes alone."""

BINARY: tuple[Fusion, ...] = ("union", "majority")
"""Modes whose result is a mask: 0 or 255."""


def level_of(threshold: float) -> int:
    """The uint8 value from which a probability counts as foreground; at least 1.

    >>> level_of(0.5)
    128
    """
    return max(1, int(threshold * 255 + 0.5))


def fuse(
    votes: Array,
    *,
    mode: Fusion,
    threshold: float,
    weights: Sequence[float] = (),
    xp: Any = np,
) -> Array:
    """uint8 of shape (z, y, x); `weights`, one per axis in the order of the votes, for weighted.

    `xp` is the library whose arrays the votes are: numpy, or torch for votes on a GPU.

    >>> votes = np.array([[[[255, 0]]], [[[200, 90]]], [[[0, 90]]]], dtype="uint8")
    >>> fuse(votes, mode="majority", threshold=0.5).tolist()
    [[[255, 0]]]
    >>> fuse(votes, mode="mean", threshold=0.5).tolist()
    [[[152, 60]]]
    >>> fuse(votes, mode="weighted", threshold=0.5, weights=(2, 1, 1)).tolist()
    [[[178, 45]]]
    """
    given: Any = votes
    n = len(given)
    if mode == "max":
        found = xp.amax(given, 0)
    elif mode == "mean":
        found = (2 * xp.sum(given, 0, dtype=xp.int16) + n) // (2 * n)
    elif mode == "weighted":
        weighed = (w * xp.asarray(v, dtype=xp.float64) for w, v in zip(weights, given, strict=True))
        found = sum(weighed) / sum(weights) + 0.5
    else:
        enough = count_yes(given, threshold=threshold, xp=xp) > _few(mode, n)
        found = 255 * xp.asarray(enough, dtype=xp.uint8)
    fused: Array = xp.asarray(found, dtype=xp.uint8)
    return fused


def _few(mode: Fusion, axes: int) -> int:
    """How many axes that say yes are not yet enough."""
    return 0 if mode == "union" else axes // 2


def count_yes(votes: Array, *, threshold: float, xp: Any = np) -> Array:
    """How many axes (the first of `votes`) say yes: uint8 from 0 to the number of axes."""
    # counted in bytes: numpy's own choice, int64, takes 7 times as long
    count: Array = xp.sum(votes >= level_of(threshold), 0, dtype=xp.uint8)  # type: ignore[operator]
    return count


def spread(votes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """How far the axes (the first of `votes`) are apart: the highest vote less the lowest, uint8.

    >>> spread(np.array([[[[255, 90]]], [[[200, 90]]]], dtype="uint8")).tolist()
    [[[55, 0]]]
    """
    apart: npt.NDArray[np.uint8] = votes.max(axis=0) - votes.min(axis=0)
    return apart
