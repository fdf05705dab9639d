"""Several samples per pixel: grey that was saved as red, green and blue."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

COLOUR = (
    "has colour; a volume needs grey planes: convert its files to 8 or 16 bit grey first "
    "(ImageMagick: mogrify -colorspace gray FILES)"
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
