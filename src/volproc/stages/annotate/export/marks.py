"""Marks of Zooniverse's drawing tools as strokes, in pixels of the frame they were drawn on.

    classifier 1   points [{x, y}, ...]          freehand tools
                   points and "closed"           polygon; or bezier, where the reader was told
    classifier 2   toolType, pathX and pathY     freehand tools
                   toolType, points              polygon, bezier

Freehand lines are closed only where they end exactly where they began: classifier 1 also says
"auto_closed" of lines that it merely ended. Polygons and bezier curves are closed always.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.drawing import Stroke
from volproc.stages.annotate.export.rejections import MarkFault

Size = tuple[float, float]
"""Height and width of a frame in natural pixels."""
Pixels = npt.NDArray[np.float64]

FREEHAND = ("freehandLine", "freehandShape", "freehandSegmentLine", "freehandSegmentShape")
BEZIER_ERROR_PX = 0.05
"""Between a curve and the straight lines that approximate it, at most."""
OUTSIDE_SHARE = 1.0
"""Points farther outside a frame than this share of its size are no part of a drawing."""
MAX_COORDINATE = 1e6
"""Larger ones are broken, where the size of the frame is not known."""
MAX_SEGMENTS = 1000
"""Straight lines for one piece of a bezier curve."""


@dataclass(frozen=True)
class Mark:
    """A stroke in natural pixels (y, x); `lost` points of it were not usable."""

    frame: int
    kind: str
    stroke: Stroke
    lost: int = 0


class BadMark(Exception):
    """A mark that cannot be used: why, and the frame where that is known."""

    def __init__(self, fault: MarkFault, frame: int | None = None) -> None:
        super().__init__(fault)
        self.fault, self.frame = fault, frame


def is_mark(value: object) -> bool:
    """Whether `value` looks like what a drawing tool leaves, well formed or not."""
    return isinstance(value, dict) and not value.keys().isdisjoint(
        ("tool", "toolIndex", "toolType", "points", "pathX")
    )


def tool_of(mark: Mapping[str, Any]) -> int | None:
    """The number of the tool in its task."""
    found = mark.get("toolIndex", mark.get("tool"))
    return found if type(found) is int else None


def frame_of(mark: Mapping[str, Any]) -> int:
    """The frame that was drawn on, from 0; the first where the mark names none."""
    frame = mark.get("frame", 0)
    if type(frame) is not int or frame < 0:
        raise BadMark("no such frame")
    return frame


def read_mark(
    mark: Mapping[str, Any], *, sizes: Sequence[Size | None], bezier_tools: Collection[int] = ()
) -> Mark:
    """The stroke of a mark on a frame of one of `sizes`; BadMark where there is none.

    Points that are no numbers or lie far outside are left out of freehand lines, up to half of
    them; polygons and curves that have any are not used. A line has two points or more that
    differ, a polygon three, a curve three with its control points.
    """
    frame = frame_of(mark)
    if sizes and frame >= len(sizes):
        raise BadMark("no such frame")
    kind = _kind(mark, bezier_tools)
    try:
        points, lost = _usable(_points(mark), size=sizes[frame] if sizes else None, kind=kind)
    except BadMark as bad:
        raise BadMark(bad.fault, frame) from None
    if len(points) < (2 if kind == "freehand" else 3) or (points == points[0]).all():
        raise BadMark("too few points", frame)
    ends_at_start = len(points) > 3 and bool((points[0] == points[-1]).all())
    drawn = sample_bezier(points) if kind == "bezier" else points
    name = f"{kind} (classifier {2 if 'toolType' in mark else 1})"
    stroke = Stroke(drawn.astype(np.float32), kind != "freehand" or ends_at_start)
    return Mark(frame, name, stroke, lost)


def sample_bezier(points: Pixels, *, error: float = BEZIER_ERROR_PX) -> Pixels:
    """Points along quadratic curves through every other point, with those between as control.

    A last control point belongs to the piece that leads back to the first point. A curve and the
    chord over 1/n of its parameter are |P0 - 2 P1 + P2| / (4 n²) apart, which gives n.
    """
    anchors, controls = points[0::2], points[1::2]
    ends = np.roll(anchors, -1, axis=0)[: len(controls)]
    triplets = zip(anchors, controls, ends, strict=False)  # the last anchor may begin no piece
    pieces = [_piece(*triplet, error=error) for triplet in triplets]
    return np.concatenate(pieces if len(anchors) == len(controls) else [*pieces, anchors[-1:]])


def _piece(start: Pixels, control: Pixels, end: Pixels, *, error: float) -> Pixels:
    bend = math.hypot(*(start - 2 * control + end))
    count = min(MAX_SEGMENTS, max(1, math.ceil(math.sqrt(bend / (4 * error)))))
    t = np.arange(count)[:, None] / count
    piece: Pixels = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
    return piece


def _kind(mark: Mapping[str, Any], bezier_tools: Collection[int]) -> str:
    named = mark.get("toolType")
    if named in FREEHAND:
        return "freehand"
    if named in ("polygon", "bezier"):
        return str(named)
    if named is not None or not ("points" in mark or "pathX" in mark):
        raise BadMark("unknown tool", frame_of(mark))
    if tool_of(mark) in bezier_tools:
        return "bezier"
    return "polygon" if "closed" in mark else "freehand"


def _points(mark: Mapping[str, Any]) -> Pixels:
    """Points (y, x); BadMark unless they are lists of numbers. Missing numbers are NaN."""
    try:
        if "pathX" in mark:
            found = np.array([mark["pathY"], mark["pathX"]], dtype=np.float64).T
        else:
            pairs = [(point["y"], point["x"]) for point in mark["points"]]
            found = np.array(pairs, dtype=np.float64)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise BadMark("broken mark") from None
    if found.size and (found.ndim != 2 or found.shape[1] != 2):
        raise BadMark("broken mark")
    return found.reshape(-1, 2)


def _usable(points: Pixels, *, size: Size | None, kind: str) -> tuple[Pixels, int]:
    """The points to use, and how many were left out."""
    low, high = np.full(2, -MAX_COORDINATE), np.full(2, MAX_COORDINATE)
    if size:
        low, high = -OUTSIDE_SHARE * np.array(size), (1 + OUTSIDE_SHARE) * np.array(size)
    finite = np.isfinite(points).all(axis=1)
    good = finite & (points >= low).all(axis=1) & (points <= high).all(axis=1)
    lost = len(points) - int(good.sum())
    if lost > (len(points) / 2 if kind == "freehand" else 0):
        raise BadMark("far outside" if finite.all() else "broken coordinates")
    return (points[good] if lost else points), lost
