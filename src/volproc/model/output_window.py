"""The pixels that a U-Net's decoder has to compute, so that those requested come out.

A tile's window has a halo for which nothing is predicted. The encoder needs all of it; the decoder,
half of the arithmetic, needs a few pixels of it:

    window   |-----halo-----|=======requested=======|-----halo-----|
    encoder  |-----------------------------------------------------|
    decoder               |---------------------------|
    head                    |=======================|

The values are those that the whole decoder would compute there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


OutputWindow = tuple[slice, slice]
"""Rows and columns of a plane, from a start to a stop."""


@dataclass(frozen=True)
class Region:
    """Rows and columns of a level's plane that have been computed."""

    rows: slice
    columns: slice

    def of(self, values: Tensor, seen: Region | None = None) -> Tensor:
        """This part of `values` (..., H, W), which cover `seen`, or the whole level."""
        top, left = (seen.rows.start, seen.columns.start) if seen else (0, 0)
        return values[
            ...,
            self.rows.start - top : self.rows.stop - top,
            self.columns.start - left : self.columns.stop - left,
        ]

    def raised(self) -> Region:
        """The region that transposed convolutions of stride 2 make of it, one level finer."""
        return Region(*(slice(2 * s.start, 2 * s.stop) for s in (self.rows, self.columns)))


class _Whole(Region):
    """All of a level, whatever its size: no numbers of which `torch.compile` would make other code
    for each size."""

    def of(self, values: Tensor, seen: Region | None = None) -> Tensor:
        return values

    def raised(self) -> Region:
        return self


WHOLE = _Whole(slice(None), slice(None))


def regions(
    requested: OutputWindow | None,
    planes: Tensor,
    *,
    levels: int,
    reach: int,
    back: int = 0,
    stem: int = 1,
) -> tuple[Region, ...]:
    """The region each level has to output, finest first, for the `requested` pixels (None: all).

    `reach` are the pixels that a level's convolutions in the decoder see to either side, `back`
    those that its transposed convolution looks back; the finest level has pixels of `stem`.
    """
    if requested is None:
        return (WHOLE,) * levels
    height, width = (n // stem for n in planes.shape[-2:])
    rows, columns = (slice(s.start // stem, s.stop // stem) for s in requested)
    found = [Region(rows, columns)]
    for level in range(1, levels):
        rows = _behind(rows, height >> level, reach, back)
        columns = _behind(columns, width >> level, reach, back)
        found.append(Region(rows, columns))
    return tuple(found)


def _behind(span: slice, size: int, reach: int, back: int) -> slice:
    """The span that a coarser level of `size` pixels has to output for `span` of the finer one."""
    return slice(max(0, (span.start - reach - back) // 2), min(size, -(-(span.stop + reach) // 2)))
