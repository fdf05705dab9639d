"""Lines as rows of points: how long they are, and points at equal distances along them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Line = npt.NDArray[np.floating]
"""Points (n, 2) of a line, or one (2,): y and x in nm from the corner of the image."""


def length(line: Line) -> float:
    """From the first point to the last one, along the line."""
    return float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())


def resampled(line: Line, step: float, *, at_least: int) -> npt.NDArray[np.float64]:
    """Points about `step` apart, from the line's first to its last; never fewer than `at_least`.

    >>> resampled(np.array([[0, 0], [0, 3], [3, 3]]), 2.0, at_least=2).tolist()
    [[0.0, 0.0], [0.0, 2.0], [1.0, 3.0], [3.0, 3.0]]
    """
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.linspace(0, along[-1], max(at_least, round(along[-1] / step) + 1))
    return np.stack([np.interp(at, along, line[:, axis]) for axis in (0, 1)], axis=1)


def evenly(loop: Line, step: float) -> npt.NDArray[np.float64]:
    """A closed line with points about `step` apart, and at least eight."""
    return resampled(np.concatenate([loop, loop[:1]]), step, at_least=9)[:-1]
