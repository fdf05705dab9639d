"""Where the network's tiles lie: anchored to the volume, so that no block size can move them.

Along one axis, with the volume mirrored by `border` voxels at its two ends:

    mirror |<------------------- volume ------------------->| mirror
    |border|----tile----|----tile----|----tile----|----tile-|-------|
    |...window of tile 0 ....halo|
                   |halo....window of tile 2 .....halo|

A tile's window has the network's halo on every side where there is something to see, so its output
is that of one run over the whole mirrored plane. Windows begin and end on multiples of the
network's stride.

Viewed along z, y or x, the same voxels are planes of the other two axes, in their order:
(z, y, x) becomes (depth, height, width).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal, TypeVar

from volproc.grid.box import Box, Shape, each
from volproc.lazy import lazy
from volproc.stages.inference.tile_size import up

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

Axis = Literal["z", "y", "x"]
AXES: tuple[Axis, ...] = ("z", "y", "x")
T = TypeVar("T")
Span = tuple[tuple[int, int], tuple[int, int]]
"""Along one axis: start and stop of a tile's window, and of its output."""

_ORDER: dict[str, tuple[int, int, int]] = {"z": (0, 1, 2), "y": (1, 0, 2), "x": (2, 0, 1)}
_BACK: dict[str, tuple[int, int, int]] = {"z": (0, 1, 2), "y": (1, 0, 2), "x": (1, 2, 0)}


def along(axis: Axis, triple: tuple[T, T, T]) -> tuple[T, T, T]:
    """A (z, y, x) triple as (depth, height, width), viewed along `axis`.

    >>> along("x", ("z", "y", "x"))
    ('x', 'z', 'y')
    """
    depth, height, width = _ORDER[axis]
    return triple[depth], triple[height], triple[width]


def back(axis: Axis, triple: tuple[T, T, T]) -> tuple[T, T, T]:
    """The inverse of `along`.

    >>> back("x", along("x", (1, 2, 3)))
    (1, 2, 3)
    """
    z, y, x = _BACK[axis]
    return triple[z], triple[y], triple[x]


def oriented(values: torch.Tensor, axis: Axis) -> torch.Tensor:
    """A view of (z, y, x) voxels as (depth, height, width) along `axis`; nothing is copied."""
    return values.permute(_ORDER[axis])


@dataclass(frozen=True)
class Tile:
    """What the network reads in one go (`window`) and the voxels it predicts from it (`output`)."""

    axis: Axis
    window: Box
    output: Box

    @property
    def requested(self) -> tuple[slice, slice]:
        """Rows and columns of the window's planes that are predicted."""
        _, rows, columns = along(self.axis, self.output.within(self.window.start).slices)
        return rows, columns


@dataclass(frozen=True)
class Layout:
    """All tiles of a volume of `shape` for a network.

    `tile` is per volume axis: planes viewed along z have tiles of (tile y, tile x) pixels. Along
    the viewing axis a tile has `slices_in` planes, of which the central `slices_out` are predicted.
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
        """Planes read before and after those predicted."""
        return (self.slices_in - self.slices_out) // 2

    def tiles(self, core: Box, axis: Axis) -> Iterator[Tile]:
        """All tiles along `axis` whose output meets `core`; those above one another in a row."""
        depth, height, width = (
            self.spans(core, volume_axis, in_plane=n > 0)
            for n, volume_axis in enumerate(along(axis, (0, 1, 2)))
        )
        for h, w, d in product(height, width, depth):
            window, output = (
                Box(*(back(axis, (d[i][end], h[i][end], w[i][end])) for end in (0, 1)))
                for i in (0, 1)
            )
            yield Tile(axis, window, output)

    def window(self, core: Box, axes: str) -> Box:
        """The voxels that all tiles for `core` read; may reach beyond the volume."""
        hulls = [
            [self.spans(core, n, in_plane=n != "zyx".index(axis)) for n in range(3)]
            for axis in axes
        ]
        by_axis = list(zip(*hulls, strict=True))
        return Box(
            each(lambda views: min(spans[0][0][0] for spans in views), by_axis),
            each(lambda views: max(spans[-1][0][1] for spans in views), by_axis),
        )

    def spans(self, core: Box, n: int, *, in_plane: bool) -> list[Span]:
        """Window and output of every tile on volume axis `n` whose output meets `core`."""
        step = self.tile[n] if in_plane else self.slices_out
        offset = self.offset[n] if in_plane else 0
        # counted from the volume's origin, not from the block's: else tiles would move with it
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
