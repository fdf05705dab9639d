"""Where the network's tiles lie: anchored to the volume, so that no block size can move them.

Along one axis, with the volume mirrored by `border` voxels at its two ends:

    mirror |<------------------- volume ------------------->| mirror
    |border|----tile----|----tile----|----tile----|----tile-|-------|
    |...window of tile 0 ....halo|
                   |halo....window of tile 2 .....halo|

A tile's window has the network's halo on every side where there is something to
see, so it gets the same answer as in one pass over the whole mirrored plane. Windows begin and
end on multiples of the network's stride.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from volproc.errors import ConfigError
from volproc.grid.box import Box, Shape, each, whole_box
from volproc.stages.predict.cutting import choose_tile, up
from volproc.stages.predict.orientation import Axis, along, back

BORDER_STRIDES = 1
"""Mirrored voxels at the volume's border, in strides of the network; more is no better."""


@dataclass(frozen=True)
class Layout:
    """Tiles of a volume of `shape` for a network: everything about them that is the same all over.

    `tile` is per volume axis; a plane along z has tiles of (tile y, tile x) pixels. Along the
    viewing axis a pass takes `slices_in` planes and answers the central `slices_out`.
    """

    shape: Shape
    tile: Shape
    halo: int
    border: int
    stride: int
    slices_in: int
    slices_out: int
    offset: Shape = (0, 0, 0)
    """Where a tile begins, a multiple of the stride: moved to suit a box, or to compare tiles."""

    @property
    def margin(self) -> int:
        """Planes read before and after those answered."""
        return (self.slices_in - self.slices_out) // 2

    def passes(self, core: Box, axis: Axis) -> Iterator[Pass]:
        """All passes along `axis` whose answers meet `core`, planes of one tile together."""
        depth, height, width = (
            self.spans(core, volume_axis, in_plane=n > 0)
            for n, volume_axis in enumerate(along(axis, (0, 1, 2)))
        )
        for h, w, d in product(height, width, depth):
            window = Box(*(back(axis, (d[0][i], h[0][i], w[0][i])) for i in (0, 1)))
            answer = Box(*(back(axis, (d[1][i], h[1][i], w[1][i])) for i in (0, 1)))
            yield Pass(axis, window, answer)

    def window(self, core: Box, axes: str) -> Box:
        """Voxels that all passes for `core` look at together; may reach beyond the volume."""
        ends = [
            span
            for axis in axes
            for span in zip(*(self._hull(core, axis)), strict=True)  # type: ignore[arg-type]
        ]
        by_axis = [ends[n::3] for n in range(3)]
        return Box(
            each(lambda spans: min(s[0] for s in spans), by_axis),
            each(lambda spans: max(s[1] for s in spans), by_axis),
        )

    def _hull(self, core: Box, axis: Axis) -> tuple[Shape, Shape]:
        spans = [self.spans(core, n, in_plane=n != along(axis, (0, 1, 2))[0]) for n in range(3)]
        return each(lambda s: s[0][0][0], spans), each(lambda s: s[-1][0][1], spans)

    def spans(self, core: Box, n: int, *, in_plane: bool) -> list[Span]:
        """(window, answer) of every tile on volume axis `n` that meets `core`."""
        step = self.tile[n] if in_plane else self.slices_out
        offset = self.offset[n] if in_plane else 0
        starts = range((core.start[n] - offset) // step * step + offset, core.stop[n], step)
        if not in_plane:
            return [((a - self.margin, a + step + self.margin), (a, a + step)) for a in starts]
        first, last = -self.border, up(self.shape[n] + self.border, self.stride)
        return [
            (
                (max(first, a - self.halo), min(last, a + step + self.halo)),
                (max(first, a), min(a + step, last)),
            )
            for a in starts
        ]


Span = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Pass:
    """What the network sees at once (`window`) and which voxels it answers for (`answer`)."""

    axis: Axis
    window: Box
    answer: Box

    @property
    def wanted(self) -> tuple[slice, slice]:
        """Rows and columns of the window's planes that are answered for."""
        _, rows, columns = along(self.axis, self.answer.within(self.window.start).slices)
        return rows, columns


def lay_out(
    shape: Shape,
    *,
    halo: int,
    stride: int,
    slices_in: int,
    slices_out: int,
    tile: Shape | None = None,
    most: int | None = None,
    box: Box | None = None,
) -> Layout:
    """Tiles for a volume of `shape`: `tile` rounded up to the stride, or chosen to suit.

    `halo` is the network's (`UNetSpec.halo`), a multiple of its stride; `most` is the longest
    side of a tile that the network takes, without the halo. ConfigError if `tile` is longer.

    The choice depends on the volume, the network and the `box` of it that is predicted only: tiles
    that nobody stated suit the box, and begin with it.
    """
    border = BORDER_STRIDES * stride
    box = box or whole_box(shape)
    first = each(lambda a: a // stride * stride, box.start)
    covered = each(lambda b, a: b - a, box.stop, first)
    given = (
        each(lambda t: up(t, stride), tile)
        if tile
        else choose_tile(
            covered, halo=halo, border=border, stride=stride, slices_out=slices_out, most=most
        )
    )
    if tile and most and max(given) > most:
        raise ConfigError(
            f"[predict] tile = {list(tile)}: with its halo of {halo} pixels on either side the "
            f"network takes no more than {most}; make it smaller or leave it out"
        )
    whole = each(lambda n: up(n, stride), shape)
    chosen = each(min, given, whole)
    return Layout(
        shape=shape,
        tile=chosen,
        halo=halo,
        border=border,
        stride=stride,
        slices_in=slices_in,
        slices_out=slices_out,
        offset=(0, 0, 0) if tile else each(lambda a, t: a % t, first, chosen),
    )
