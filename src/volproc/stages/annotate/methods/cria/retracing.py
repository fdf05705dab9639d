"""Lines drawn twice: a stroke that goes over another one, or over its own beginning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from volproc.stages.annotate.geometry.polylines import Line, length, resampled

RETRACE_SHARE = 0.9
"""A line repeats another one if at least this share of it runs along that one."""
WIDTH_SHARE = 0.05
"""Lines farther apart than this share of the longer one's length are different lines."""


def without_retraces(lines: Sequence[Line], tolerance: float) -> list[Line]:
    """The lines without those that lie within `tolerance` of longer ones, in their order.

    >>> top, again = np.array([[0, 0], [0, 90]]), np.array([[1, 80], [1, 10]])
    >>> len(without_retraces([top, again], tolerance=3))
    1
    """
    kept: list[int] = []
    for n in sorted(range(len(lines)), key=lambda n: -length(lines[n])):
        if not kept or not _retraces(lines[n], [lines[k] for k in kept], tolerance):
            kept.append(n)
    return [lines[n] for n in sorted(kept)]


def overrun(line: Line, tolerance: float) -> Line | None:
    """The line up to where it returned to its start, if all that follows goes over it again.

    start ●───────────╮
          ○━━━━━━╮    │     ○ returned: within `width` of the start, after having left it
          ╰──────╂────╯       by twice that; the rest (━) must retrace the line
    """
    width = min(tolerance, WIDTH_SHARE * length(line))
    away = np.linalg.norm(line - line[0], axis=1)
    left = int(np.argmax(away > 2 * width))
    back = left + np.flatnonzero(away[left:] <= width)
    if away[left] <= 2 * width or not len(back):
        return None
    here = back[: np.argmax(np.diff(back, append=np.inf) > 1) + 1]  # its first visit only
    end = int(here[np.argmin(away[here])]) + 1
    rest = line[end:]
    if length(rest) > width and not _retraces(rest, [line[:end]], tolerance):
        return None
    return line[:end]


def _retraces(line: Line, longer: Sequence[Line], tolerance: float) -> bool:
    width = min(tolerance, WIDTH_SHARE * max(map(length, longer)))
    low = np.min([other.min(axis=0) for other in longer], axis=0) - width
    high = np.max([other.max(axis=0) for other in longer], axis=0) + width
    if ((line < low) | (line > high)).any(axis=1).mean() > 1 - RETRACE_SHARE:
        return False  # most of it is far away: no need to look closer
    step = width / 2
    known = cKDTree(np.concatenate([resampled(other, step, at_least=2) for other in longer]))
    apart, _ = known.query(resampled(line, step, at_least=2), distance_upper_bound=width)
    return bool(np.isfinite(apart).mean() >= RETRACE_SHARE)
