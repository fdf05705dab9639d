"""One answer from the votes of three axes: on uint8, so that every caller gets the same bits."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Fusion = Literal["union", "majority", "mean", "max"]
"""union: some axis says yes (the published rule); majority: more than half of the axes do;
mean, max: the mean or highest probability, to be cut later."""

FUSIONS: tuple[Fusion, ...] = ("union", "majority", "mean", "max")


def level_of(threshold: float) -> int:
    """The uint8 value from which a probability counts as foreground; at least 1.

    >>> level_of(0.5)
    128
    """
    return max(1, int(threshold * 255 + 0.5))


def fuse(votes: npt.NDArray[np.uint8], *, mode: Fusion, threshold: float) -> npt.NDArray[np.uint8]:
    """uint8 of shape (z, y, x) from `votes` of shape (axes, z, y, x), probabilities times 255.

    union and majority cut each vote at `threshold` and give 0 or 255; mean (rounded half up) and
    max give a probability times 255.

    >>> votes = np.array([[[[255, 0]]], [[[200, 90]]], [[[0, 90]]]], dtype="uint8")
    >>> fuse(votes, mode="majority", threshold=0.5).tolist()
    [[[255, 0]]]
    >>> fuse(votes, mode="mean", threshold=0.5).tolist()
    [[[152, 60]]]
    """
    n = votes.shape[0]
    if mode == "max":
        highest: npt.NDArray[np.uint8] = votes.max(axis=0)
        return highest
    if mode == "mean":
        total: npt.NDArray[np.uint16] = votes.sum(axis=0, dtype=np.uint16)
        mean: npt.NDArray[np.uint8] = ((2 * total + n) // (2 * n)).astype(np.uint8)
        return mean
    yes = votes >= level_of(threshold)
    # counted in bytes: numpy's own choice, int64, takes 7 times as long
    count: npt.NDArray[np.uint8] = yes.sum(axis=0, dtype=np.uint8)
    answer = count > (0 if mode == "union" else n // 2)
    return answer.astype(np.uint8) * np.uint8(255)
