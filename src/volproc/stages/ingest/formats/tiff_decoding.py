"""Parts of a TIFF's plane: the strips and tiles that contain them, decoded one after the other."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from volproc.stages.ingest.formats.photometry import is_grey

HUGE_SEGMENT, MAX_COMPRESSION = 2**29, 2**16
"""A strip or tile that claims more bytes than these is damaged if it is compressed beyond this."""


def decode_into(plane: npt.NDArray[Any], page: tifffile.TiffPage, corner: tuple[int, int]) -> bool:
    """Fill `plane` with the part of `page` from `corner` (y, x) on; no other segment is decoded.

    False if it has colour.
    """
    grey = True
    segments = _segments(page, corner, plane.shape)
    read = page.parent.filehandle.read_segments(
        [page.dataoffsets[i] for i in segments],
        [page.databytecounts[i] for i in segments],
        indices=segments,
    )
    for data, index in read:
        segment, (_, _, y, x, _), _ = page.decode(
            data, index, jpegtables=page.jpegtables, jpegheader=page.jpegheader
        )
        if segment is None:  # a hole in a sparse file
            segment = np.full((1, *segment_shape(page), 1), page.nodata, dtype=plane.dtype)
        values = segment[0, ..., 0]
        grey = grey and is_grey(segment[0])
        top, left = y - corner[0], x - corner[1]
        part = plane[max(0, top) : top + values.shape[0], max(0, left) : left + values.shape[1]]
        skip_y, skip_x = max(0, -top), max(0, -left)
        part[:] = values[skip_y : skip_y + part.shape[0], skip_x : skip_x + part.shape[1]]
    return grey


def refuse_unbelievable(page: tifffile.TiffPage, shape: tuple[int, ...]) -> None:
    """ValueError for a plane of another size, or a strip too small for what it claims."""
    if (page.imagelength, page.imagewidth) != shape:
        raise ValueError(f"a plane of {page.shape} is among those of {shape}")
    size = prod(segment_shape(page)) * (page.bitspersample // 8 or 1)
    stored = max(page.databytecounts, default=0)
    if size > HUGE_SEGMENT and size > MAX_COMPRESSION * stored:
        raise ValueError(f"a strip or tile of {stored} bytes claims {size}")


def _segments(page: tifffile.TiffPage, corner: tuple[int, int], size: tuple[int, ...]) -> list[int]:
    """Numbers of the strips or tiles that meet a part of the page."""
    high, wide = segment_shape(page)
    across = -(-page.imagewidth // wide)
    rows = range(corner[0] // high, -(-(corner[0] + size[0]) // high))
    columns = range(corner[1] // wide, -(-(corner[1] + size[1]) // wide))
    return [row * across + column for row in rows for column in columns]


def segment_shape(page: tifffile.TiffPage) -> tuple[int, int]:
    """Rows and columns of a strip or tile."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth
