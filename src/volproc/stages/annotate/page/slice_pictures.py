"""Drawn slices as pictures: the part of the image that was drawn on, and lines over it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.drawing import Points
from volproc.stages import webpage
from volproc.stages.annotate.quality.level_sets import Level
from volproc.stages.annotate.quality.slice_quality import SliceQuality
from volproc.stages.charts import outline_path, stroke_path
from volproc.stages.pictures import Picture, area_means, data_uri, grey
from volproc.volume.display_window import window

SIDE = 520
"""Pixels of the longer side of a drawn slice."""
MARGIN_SHARE = 0.12
"""Of what was drawn, shown around it."""
MIN_SIDE = 64
"""Pixels of the image that are shown at least."""
UNSKILLED = 0.5
LEGEND = 26
"""Pixels below the level sets of a slice, for what their colours mean."""
COLOURS = ((61, 32, 115), (49, 92, 161), (31, 150, 139), (108, 196, 90), (250, 224, 60))
"""From nobody to all who looked, evenly spread; those between are mixed."""


@dataclass(frozen=True)
class Line:
    """A volunteer's stroke in the pixels of a slice's image, with the volunteer's weight."""

    points: Points
    skill: float = 1.0


@dataclass(frozen=True)
class DrawnSlice:
    """A slice to look at: its grey image, who drew what on it, and the outline that was made.

    Points are (y, x) in the image's pixels, which measure `nm` (y, x); `blank`: it shows nothing.
    """

    quality: SliceQuality
    image: npt.NDArray[Any]
    lines: tuple[Line, ...]
    outline: tuple[Points, ...]
    nm: tuple[float, float]
    blank: bool = False


@dataclass(frozen=True)
class View:
    """A part of a slice on a page: the image as a data URI ("" if there is none), its size, a bar.

    Lines over it are SVG paths: `origin` is its first pixel in the slice, `scale` its pixels' size.
    """

    uri: str
    width: int
    height: int
    origin: tuple[int, int]
    scale: float
    bar_um: float
    bar_share: float

    @classmethod
    def of(cls, drawn: DrawnSlice, lines: Sequence[Points], *, side: int = SIDE) -> View:
        """The part that holds all `lines`, as far as it lies in the image."""
        top, bottom, left, right = _shown(drawn.image.shape, lines)
        part = drawn.image[top:bottom, left:right]
        scale = side / max(part.shape)
        scale = scale if drawn.blank else min(1.0, scale)
        rows, columns = (max(1, round(n * scale)) for n in part.shape)
        bar_um, bar_share = _bar(part.shape[1] * drawn.nm[1] / 1000)
        return cls(
            uri="" if drawn.blank else _picture(part, rows, columns),
            width=columns,
            height=rows,
            origin=(top, left),
            scale=columns / part.shape[1],
            bar_um=bar_um,
            bar_share=bar_share,
        )

    def loops(self, lines: Iterable[Points]) -> str:
        """The path of closed lines."""
        return outline_path(lines, origin=self.origin, scale=self.scale)


@dataclass(frozen=True)
class SlicePanel:
    """A drawn slice: paths of the strokes of volunteers, by their skill, and of the outline."""

    quality: SliceQuality
    view: View
    skilled: tuple[str, ...]
    unskilled: tuple[str, ...]
    outline: str


@dataclass(frozen=True)
class LevelPanel:
    """A slice with its level sets: how many, colour and path of each; legend below."""

    title: str
    view: View
    levels: tuple[tuple[int, str, str], ...]
    legend: int = LEGEND


def panel_of(drawn: DrawnSlice) -> SlicePanel:
    """The part of a slice that was drawn on, small enough for a page, and the lines over it."""
    view = View.of(drawn, [line.points for line in drawn.lines] + list(drawn.outline))
    strokes: dict[bool, list[str]] = {True: [], False: []}
    for one in drawn.lines:
        path = stroke_path(one.points, origin=view.origin, scale=view.scale)
        strokes[one.skill >= UNSKILLED].append(path)
    skilled, unskilled = map(tuple, strokes.values())
    return SlicePanel(drawn.quality, view, skilled, unskilled, view.loops(drawn.outline))


def level_panel_of(drawn: DrawnSlice, levels: Sequence[Level], *, side: int = SIDE) -> LevelPanel:
    """The part of a slice around all levels, and the levels over it, the lowest first.

    The longer side has `side` pixels. The same share of those who looked has the same colour on
    every slice.
    """
    own = drawn.quality
    view = View.of(drawn, [line for level in levels for line in level.lines], side=side)
    colours = colour_ramp([level.at_least / own.votes for level in levels])
    shown = tuple(
        (level.at_least, colour, view.loops(level.lines))
        for level, colour in zip(levels, colours, strict=True)
    )
    title = f"{own.roi}, slice {own.z}: {own.votes} looked, {own.absent} saw nothing"
    return LevelPanel(title, view, shown)


def level_picture(panel: LevelPanel) -> str:
    """The slice with its level sets as an SVG that is complete in itself."""
    return webpage.render("volproc.stages.annotate.page", "levels.svg.j2", panel=panel)


def colour_ramp(shares: Sequence[float]) -> tuple[str, ...]:
    """Colours for CSS of shares from 0, the first of COLOURS, to 1, the last.

    >>> colour_ramp([0, 1])
    ('#3d2073', '#fae03c')
    """
    places = np.array(shares) * (len(COLOURS) - 1)
    mixed = [np.interp(places, range(len(COLOURS)), one) for one in zip(*COLOURS, strict=True)]
    return tuple("#" + "".join(f"{round(v):02x}" for v in rgb) for rgb in zip(*mixed, strict=True))


def _picture(part: npt.NDArray[Any], rows: int, columns: int) -> str:
    shown = window(part)
    edges = (np.linspace(0, n, m + 1) for n, m in zip(part.shape, (rows, columns), strict=True))
    small = area_means(np.nan_to_num(part.astype(np.float64), nan=shown.start), *edges)
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    return data_uri(Picture(grey(small, low=shown.start, high=shown.end), ramp))


def _shown(size: tuple[int, ...], lines: Sequence[Points]) -> tuple[int, int, int, int]:
    """First and last row and column of what was drawn, with a margin, inside the image."""
    points = [one for one in lines if len(one)]
    if not points:
        return 0, size[0], 0, size[1]
    every = np.concatenate(points)
    found: list[int] = []
    for low, high, n in zip(every.min(0).tolist(), every.max(0).tolist(), size, strict=True):
        margin = max(MARGIN_SHARE * (high - low), (MIN_SIDE - (high - low)) / 2)
        start = int(np.clip(floor(low - margin), 0, max(0, n - MIN_SIDE)))
        stop = int(np.clip(floor(high + margin) + 1, min(n, start + MIN_SIDE), n))
        found += [start, stop]
    return found[0], found[1], found[2], found[3]


def _bar(width_um: float) -> tuple[float, float]:
    """A round length of about a quarter of the width, in µm, and its share of the width."""
    power = 10.0 ** floor(log10(width_um / 4))
    length = max(power * factor for factor in (1, 2, 5) if power * factor <= width_um / 4)
    return length, length / width_um
