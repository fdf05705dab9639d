"""What stored values mean: grey with 0 as black or as white, indices into a palette, or colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from volproc.errors import IngestError
from volproc.stages.ingest.formats.views import ByPalette, Inverted
from volproc.stages.ingest.voxel_source import Source

COLOUR = (
    "has colour; a volume needs grey planes: convert its files to 8 or 16 bit grey first "
    "(ImageMagick: mogrify -colorspace gray FILES), or, if colours stand for ids, to their numbers"
)


def refuse_lossy_labels(url: str) -> NoReturn:
    """IngestError for labels that were compressed with loss: their ids are others now."""
    raise IngestError(
        f"{url} is JPEG, which changes values: its labels are no longer what they were; save them "
        "as PNG, or as TIFF without loss"
    )


def is_grey(pixels: npt.NDArray[Any]) -> bool:
    """Whether the colours of all `pixels` (last axis) are equal, and a fourth sample hides none.

    >>> is_grey(np.array([[7, 7, 7], [9, 9, 9]])), is_grey(np.array([[7, 7, 8]]))
    (True, False)
    """
    count = pixels.shape[-1]
    colours = pixels[..., : count - (count in (2, 4))]
    opaque = pixels[..., -1].min() == pixels[..., -1].max() if count in (2, 4) else True
    return bool(opaque and np.all(colours == colours[..., :1]))


def in_greys(source: Source, pages: Sequence[Any], url: str) -> Source:
    """The source with grey values as other programs show them, 0 black; exact, or an IngestError.

    `pages` has one page of each of its TIFF's images.
    """
    kinds = {page.photometric.name for page in pages}
    if kinds.isdisjoint({"MINISWHITE", "PALETTE"}):
        return source
    if len(kinds) > 1:
        names = " and ".join(sorted(kinds)).lower()
        raise IngestError(
            f"{url} holds planes of {names}; a volume needs one meaning of grey values: save them "
            "alike"
        )
    if kinds == {"PALETTE"}:
        palette = pages[0].colormap
        return by_palette(source, None if palette is None else palette.T, url)
    kind = np.dtype(source.dtype).kind
    if kind == "f":
        raise IngestError(
            f"{url} holds {source.dtype} values of which 0 is white (its photometric tag); it does "
            "not state which value is black: save it with 0 as black, or give --labels to take the "
            "values as they are"
        )
    return Inverted.of(
        source,
        white=2 ** pages[0].bitspersample - 1 if kind == "u" else None,
        note="its photometric tag says that 0 is white: grey values were inverted",
    )


def by_palette(source: Source, palette: npt.NDArray[Any] | None, url: str) -> Source:
    """The greys that the source's values stand for; IngestError for a palette of colours.

    `palette` has a row per value: red, green, blue, and perhaps how opaque it is.
    """
    if palette is None or not is_grey(palette):
        raise IngestError(
            f"{url} holds indices into a palette of colours, not grey values; convert it to grey, "
            "or give --labels if the values are ids"
        )
    greys = palette[:, 0].astype(int)
    for step in (257, 256):  # a TIFF's palette has 16 bits: 255 is 65535 there, or 65280
        if palette.dtype.itemsize > 1 and not np.any(greys % step):
            greys = greys // step
            break
    same = np.array_equal(greys, np.arange(len(greys)))
    if same and len(greys) > np.iinfo(source.dtype).max:
        return source
    return ByPalette.of(
        source,
        greys=tuple(greys.tolist()),
        dtype="uint8" if greys.max() < 256 else "uint16",
        note="" if same else "its values are indices into a palette of greys: the greys were taken",
        url=url,
    )
