"""What the values of a TIFF mean: grey as it is, 0 as white, or places in a palette."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tifffile import PHOTOMETRIC

from volproc.errors import IngestError
from volproc.grid.box import Box, Shape
from volproc.grid.scale import VoxelNm
from volproc.stages.ingest.voxel_source import PixelNm, Source, Stamp, pixel_nm_of


@dataclass(frozen=True)
class Regreyed:
    """A source whose values stand for others: those of a `palette`, or, without one, turned over.

    `highest` is what 0 then becomes; with a sign, where there is none, the two ends change places.
    """

    inside: Source
    highest: int | None = None
    palette: tuple[int, ...] = ()

    @property
    def said(self) -> str:
        """What was done to the values."""
        if self.palette:
            return "its values stand for the greys of a palette: those were taken"
        return "its photometric tag says that 0 is white: grey values were turned over"

    @property
    def shape(self) -> Shape:
        """Voxels (z, y, x)."""
        return self.inside.shape

    @property
    def dtype(self) -> str:
        """numpy's name of the voxel type."""
        if not self.palette:
            return self.inside.dtype
        return "uint8" if max(self.palette) < 256 else "uint16"

    @property
    def voxel_nm(self) -> VoxelNm | None:
        """Voxel size the file states, in nm."""
        return self.inside.voxel_nm

    @property
    def pixel_nm(self) -> PixelNm | None:
        """Pixel size the file states, in nm."""
        return pixel_nm_of(self.inside)

    @property
    def identity(self) -> tuple[Stamp, ...]:
        """Of the file."""
        return self.inside.identity

    @property
    def by_rows(self) -> bool:
        """As it is stored."""
        return self.inside.by_rows

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        values: npt.NDArray[Any] = self.inside.read(box)
        if self.palette:
            values = np.asarray(self.palette, dtype=self.dtype)[values]
        elif self.highest is None:
            values = np.invert(values)
        else:
            values = np.subtract(self.highest, values, dtype=values.dtype)
        return values


def meant(source: Source, pages: Sequence[Any], url: str) -> Source:
    """The source with grey values as other programs show them, 0 black; exact, or an IngestError.

    `pages` has one of each of its images.
    """
    kinds = {page.photometric for page in pages}
    if PHOTOMETRIC.MINISWHITE not in kinds and PHOTOMETRIC.PALETTE not in kinds:
        return source
    if len(kinds) > 1:
        names = " and ".join(sorted(kind.name.lower() for kind in kinds))
        raise IngestError(
            f"{url} holds planes of {names}; a volume needs one meaning of grey values: save them "
            "alike"
        )
    if PHOTOMETRIC.PALETTE in kinds:
        return _by_palette(source, pages[0].colormap, url)
    kind = np.dtype(source.dtype)
    if kind.kind == "f":
        raise IngestError(
            f"{url} holds {source.dtype} values of which 0 is white (its photometric tag); turned "
            "over to what is not said: save it with 0 as black, or give --labels to take it as is"
        )
    return Regreyed(source, 2 ** pages[0].bitspersample - 1 if kind.kind == "u" else None)


def _by_palette(source: Source, palette: npt.NDArray[Any] | None, url: str) -> Source:
    if palette is None or np.any(palette != palette[0]):
        raise IngestError(
            f"{url} holds places in a palette of colours, no grey values; convert it to grey, or "
            "give --labels if the values are ids"
        )
    greys = palette[0].astype(int)
    for step in (257, 256):  # 255 as 65535, and as 65280
        if not np.any(greys % step):
            greys = greys // step
            break
    if np.array_equal(greys, np.arange(len(greys))):
        return source
    return Regreyed(source, palette=tuple(greys.tolist()))
