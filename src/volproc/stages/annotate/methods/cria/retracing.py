"""Lines drawn twice: a stroke that goes over another one, or over its own beginning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from volproc.stages.annotate.geometry.image_border import Line

SAME = 0.9
"""A line is another one again if this share of it lies along that one."""
WIDTH = 0.05
"""Lines farther apart than this part of the longer one's length are not the same line."""


def length(line: Line) -> float:
    """From the first point to the last one."""
    return float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())


def without_retraces(lines: Sequence[Line], tolerance: float) -> list[Line]:
    """The lines without those that lie within `tolerance` of longer ones, in their order.

    >>> top, again = np.array([[0, 0], [0, 90]]), np.array([[1, 80], [1, 10]])
    >>> len(without_retraces([top, again], tolerance=3))
    1
    """
    if len(lines) < 2:
        return list(lines)
    kept: list[int] = []
    for n in sorted(range(len(lines)), key=lambda n: -length(lines[n])):
        if not kept or not _retraces(lines[n], [lines[k] for k in kept], tolerance):
            kept.append(n)
    return [lines[n] for n in sorted(kept)]


def overrun(line: Line, tolerance: float) -> Line | None:
    """The line up to where it returned to its start, if all that follows goes over it again."""
    width = min(tolerance, WIDTH * length(line))
    away = np.linalg.norm(line - line[0], axis=1)
    left = int(np.argmax(away > 2 * width))
    back = left + np.flatnonzero(away[left:] <= width)
    if away[left] <= 2 * width or not len(back):
        return None
    here = back[: np.argmax(np.diff(back, append=np.inf) > 1) + 1]
    end = int(here[np.argmin(away[here])]) + 1
    rest = line[end:]
    if length(rest) > width and not _retraces(rest, [line[:end]], tolerance):
        return None
    return line[:end]


def _retraces(line: Line, longer: Sequence[Line], tolerance: float) -> bool:
    width = min(tolerance, WIDTH * max(map(length, longer)))
    low = np.min([other.min(axis=0) for other in longer], axis=0) - width
    high = np.max([other.max(axis=0) for other in longer], axis=0) + width
    if ((line < low) | (line > high)).any(axis=1).mean() > 1 - SAME:
        return False
    known = cKDTree(np.concatenate([_evenly(other, width) for other in longer]))
    apart, _ = known.query(_evenly(line, width), distance_upper_bound=width)
    return bool(np.isfinite(apart).mean() >= SAME)


def _evenly(line: Line, step: float) -> Line:
    """Points along the line, about `step` / 2 apart."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.linspace(0, along[-1], 2 + int(2 * along[-1] / step))
    return np.stack([np.interp(at, along, line[:, axis]) for axis in (0, 1)], axis=1)
