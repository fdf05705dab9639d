"""What the values of a TIFF mean: grey as it is, 0 as white, or places in a palette."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tifffile import PHOTOMETRIC

from volproc.errors import IngestError
from volproc.stages.ingest.packed import Regreyed
from volproc.stages.ingest.source import Source


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
