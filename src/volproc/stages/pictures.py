"""Pictures from arrays, as pure kernels: outlines, votes in colour, PNG."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from volproc.volume.display_window import COLOURS, id_colours

Bytes = npt.NDArray[np.uint8]

GREYS = 64
"""Levels of grey beside the outlines; noise hides the steps, and a palette saves two thirds."""
VOTE_GREYS = 32
VOTE_SHARE = 0.55
"""How much of a pixel's colour is its votes; the rest is the image."""


@dataclass(frozen=True)
class Picture:
    """Pixels (height, width) that point into a palette of up to 256 colours (red, green, blue).

    With an `alpha` below 255 what lies beneath is seen through all of them.
    """

    pixels: Bytes
    palette: Bytes
    alpha: int = 255

    @property
    def rgb(self) -> Bytes:
        """The colours themselves, shape (height, width, 3)."""
        colours: Bytes = self.palette[self.pixels]
        return colours


def grey(values: npt.NDArray[Any], *, low: float, high: float) -> Bytes:
    """`values` as uint8, 0 at `low` and 255 at `high`; what is not a number becomes black."""
    share = (np.nan_to_num(values, nan=low) - low) / (high - low)
    return np.asarray(np.clip(share, 0, 1) * 255 + 0.5, dtype=np.uint8)


def area_means(
    values: npt.NDArray[np.float64], rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Means over the fields between neighbouring edges `rows` and `columns`, in pixels of `values`.

    A pixel that an edge cuts counts in part.

    >>> area_means(np.array([[0.0, 6.0, 9.0]]), np.array([0.0, 1.0]), np.array([0.0, 1.5, 3.0]))
    array([[2., 8.]])
    """
    return _means(_means(values, rows, 0), columns, 1)


def _means(
    values: npt.NDArray[np.float64], edges: npt.NDArray[np.float64], axis: int
) -> npt.NDArray[np.float64]:
    """Along one axis, from the integral of the values, which is linear within a pixel."""
    if len(edges) == values.shape[axis] + 1:
        return values
    along = np.moveaxis(values, axis, 0)
    integral = np.concatenate([np.zeros_like(along[:1]), np.cumsum(along, axis=0)])
    whole = np.minimum(np.floor(edges).astype(np.intp), len(along) - 1)
    at_edges = integral[whole] + (edges - whole)[:, None] * along[whole]
    return np.moveaxis(np.diff(at_edges, axis=0) / np.diff(edges)[:, None], 0, axis)


def outlines(labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Pixels of an object (not 0) with another id, or none, above, below, left or right of them.

    The picture's border is no neighbour, so an object cut by it stays open there.

    >>> outlines(np.array([[1, 1, 2], [1, 1, 0]])).astype(int).tolist()
    [[0, 1, 1], [0, 1, 0]]
    """
    edge = np.zeros(labels.shape, dtype=np.bool_)
    down = labels[1:] != labels[:-1]
    across = labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge &= labels != 0
    return edge


def two_wide(labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """The outlines, and those of what they leave."""
    first = outlines(labels)
    second: npt.NDArray[np.bool_] = outlines(np.where(first, 0, labels))
    return first | second


def outlined(image: Bytes, labels: npt.NDArray[Any], edge: npt.NDArray[np.bool_]) -> Picture:
    """The grey image with each `edge` pixel in the colour of its label."""
    pixels = (image // (256 // GREYS)).astype(np.uint8)
    pixels[edge] = GREYS + (labels[edge].astype(np.int64) - 1) % COLOURS
    return Picture(pixels, np.concatenate([_ramp(GREYS), id_colours(np.arange(1, COLOURS + 1))]))


def voted(image: Bytes, yes: npt.NDArray[np.bool_]) -> Picture:
    """The grey image under its votes: `yes` has shape (3, height, width), for red, green, blue.

    A pixel is 45% image and 55% light: red, green and blue as far as they vote yes.
    """
    which = yes[0] * 4 + yes[1] * 2 + yes[2] * 1
    pixels = (which * VOTE_GREYS + image // (256 // VOTE_GREYS)).astype(np.uint8)
    ramps = [_lit(_ramp(VOTE_GREYS), votes) for votes in product((False, True), repeat=3)]
    return Picture(pixels, np.concatenate(ramps))


def plain(image: Bytes) -> Picture:
    """The grey image alone, as it lies beneath votes."""
    return Picture((image // (256 // VOTE_GREYS)).astype(np.uint8), _ramp(VOTE_GREYS))


def vote_layer(yes: npt.NDArray[np.bool_], colours: Sequence[str]) -> Picture:
    """Votes (3, height, width) to be laid over an image, which is seen through them.

    `colours` are CSS colours by who says yes: the first axis counts 4, the second 2, the third 1.
    """
    palette = np.array([list(bytes.fromhex(one.removeprefix("#"))) for one in colours], np.uint8)
    which = (yes[0] * 4 + yes[1] * 2 + yes[2] * 1).astype(np.uint8)
    return Picture(which, palette, alpha=round(255 * VOTE_SHARE))


def _ramp(levels: int) -> Bytes:
    steps = np.linspace(0, 255, levels).round().astype(np.uint8)
    return np.repeat(steps[:, None], 3, axis=1)


def _lit(colours: Bytes, votes: tuple[bool, ...]) -> Bytes:
    mixed = (1 - VOTE_SHARE) * colours + VOTE_SHARE * 255 * np.array(votes)
    return mixed.round().astype(np.uint8)


def png(picture: Picture) -> bytes:
    """The picture as a PNG with a palette."""
    content = BytesIO()
    image = Image.fromarray(picture.pixels)
    image.putpalette(picture.palette.tobytes())
    seen_through = bytes([picture.alpha]) * len(picture.palette) if picture.alpha < 255 else None
    image.save(content, "PNG", transparency=seen_through)
    return content.getvalue()


def data_uri(picture: Picture) -> str:
    """The picture for the `src` of an <img>."""
    return "data:image/png;base64," + base64.b64encode(png(picture)).decode()


def small_uri(pixels: Bytes, *, quality: int = 75) -> str:
    """Pixels (height, width, 3 or 4) for the `src` of an <img>, in a tenth of a PNG's bytes."""
    content = BytesIO()
    Image.fromarray(pixels).save(content, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode()


def hex_colour(identifier: int) -> str:
    """The colour of an id for CSS.

    >>> hex_colour(1)
    '#ff4c4c'
    """
    red, green, blue = id_colours(np.array([identifier]))[0]
    return f"#{red:02x}{green:02x}{blue:02x}"
