"""Which pixels a U-Net has to make on its way up, so that it gives those that are wanted.

A tile sees a halo that it does not answer for. The way down needs all of it; the way up, half of
the arithmetic, needs a few pixels of it:

    window  |-----halo-----|========wanted========|-----halo-----|
    down    |----------------------------------------------------|
    up                   |--------------------------|
    head                   |======================|

What is made is what the whole way up would make there.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

OutputWindow = tuple[slice, slice]
"""Rows and columns of a plane, from a start to a stop."""


@dataclass(frozen=True)
class Region:
    """Rows and columns of a level's plane that are at hand."""

    rows: slice
    columns: slice

    def of(self, values: Tensor, seen: Region | None = None) -> Tensor:
        """This part of `values` (..., H, W), which are those of `seen`, or of the whole level."""
        top, left = (seen.rows.start, seen.columns.start) if seen else (0, 0)
        return values[
            ...,
            self.rows.start - top : self.rows.stop - top,
            self.columns.start - left : self.columns.stop - left,
        ]

    def raised(self) -> Region:
        """What transposed convolutions of stride 2 make of it on the next finer level."""
        return Region(*(slice(2 * s.start, 2 * s.stop) for s in (self.rows, self.columns)))


def regions(
    requested: OutputWindow | None,
    planes: Tensor,
    *,
    levels: int,
    reach: int,
    back: int = 0,
    stem: int = 1,
) -> tuple[Region, ...]:
    """What each level has to give, finest first, for the `wanted` pixels of `planes` (None: all).

    `reach` are the pixels that a level's convolutions on the way up see to either side, `back`
    those that its transposed convolution looks back; the finest level has pixels of `stem`.
    """
    height, width = (n // stem for n in planes.shape[-2:])
    rows, columns = requested or (slice(0, height * stem), slice(0, width * stem))
    rows, columns = (slice(s.start // stem, s.stop // stem) for s in (rows, columns))
    found = [Region(rows, columns)]
    for level in range(1, levels):
        rows = _behind(rows, height >> level, reach, back)
        columns = _behind(columns, width >> level, reach, back)
        found.append(Region(rows, columns))
    return tuple(found)


def _behind(span: slice, size: int, reach: int, back: int) -> slice:
    """What a coarser level of `size` pixels has to give for `span` of the finer one."""
    return slice(max(0, (span.start - reach - back) // 2), min(size, -(-(span.stop + reach) // 2)))
