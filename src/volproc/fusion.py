"""What the votes of three axes say together: on uint8, so that every caller gets the same bits.

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
from typing import Literal

import numpy as np
import numpy.typing as npt

Fusion = Literal["union", "majority", "mean", "max", "weighted"]

FUSIONS: tuple[Fusion, ...] = ("union", "majority", "mean", "max")
"""Those that follow from the votes alone."""

BINARY: tuple[Fusion, ...] = ("union", "majority")
"""Those that are cut already: 0 or 255."""


def level_of(threshold: float) -> int:
    """The uint8 value from which a probability counts as foreground; at least 1.

    >>> level_of(0.5)
    128
    """
    return max(1, int(threshold * 255 + 0.5))


def fuse(
    votes: npt.NDArray[np.uint8],
    *,
    mode: Fusion,
    threshold: float,
    weights: Sequence[float] = (),
) -> npt.NDArray[np.uint8]:
    """uint8 of shape (z, y, x); `weights`, one per axis in the order of the votes, for weighted.

    >>> votes = np.array([[[[255, 0]]], [[[200, 90]]], [[[0, 90]]]], dtype="uint8")
    >>> fuse(votes, mode="majority", threshold=0.5).tolist()
    [[[255, 0]]]
    >>> fuse(votes, mode="mean", threshold=0.5).tolist()
    [[[152, 60]]]
    >>> fuse(votes, mode="weighted", threshold=0.5, weights=(2, 1, 1)).tolist()
    [[[178, 45]]]
    """
    n = votes.shape[0]
    if mode == "max":
        highest: npt.NDArray[np.uint8] = votes.max(axis=0)
        return highest
    if mode == "weighted":
        return _weighted(votes, weights)
    if mode == "mean":
        total: npt.NDArray[np.uint16] = votes.sum(axis=0, dtype=np.uint16)
        mean: npt.NDArray[np.uint8] = ((2 * total + n) // (2 * n)).astype(np.uint8)
        return mean
    answer = saying_yes(votes, threshold=threshold) > (0 if mode == "union" else n // 2)
    return answer.astype(np.uint8) * np.uint8(255)


def _weighted(votes: npt.NDArray[np.uint8], weights: Sequence[float]) -> npt.NDArray[np.uint8]:
    fused = np.empty(votes.shape[1:], dtype=np.uint8)
    for z in range(len(fused)):  # plane by plane: products take 8 bytes a vote
        fused[z] = np.average(votes[:, z], axis=0, weights=weights) + 0.5
    return fused


def saying_yes(votes: npt.NDArray[np.uint8], *, threshold: float) -> npt.NDArray[np.uint8]:
    """How many axes say yes: uint8 from 0 to the number of axes, shape (z, y, x)."""
    yes = votes >= level_of(threshold)
    # counted in bytes: numpy's own choice, int64, takes 7 times as long
    count: npt.NDArray[np.uint8] = yes.sum(axis=0, dtype=np.uint8)
    return count


def spread(votes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """How far the axes are apart: the highest vote less the lowest, uint8 of shape (z, y, x).

    >>> spread(np.array([[[[255, 90]]], [[[200, 90]]]], dtype="uint8")).tolist()
    [[[55, 0]]]
    """
    apart: npt.NDArray[np.uint8] = votes.max(axis=0) - votes.min(axis=0)
    return apart
