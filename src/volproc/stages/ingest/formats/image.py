"""PNG and JPEG: one grey plane per file, decoded whole by Pillow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from imagecodecs import png_decode
from PIL.Image import Exif
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from volproc.errors import IngestError
from volproc.grid.box import Box, whole_box
from volproc.stages.ingest.formats.photometry import (
    COLOUR,
    by_palette,
    is_grey,
    refuse_lossy_labels,
)
from volproc.stages.ingest.formats.views import oriented
from volproc.stages.ingest.voxel_source import Source, not_a, opened, reading, stamp

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_GREY = {"1": "uint8", "L": "uint8", "I;16": "uint16"}
"""numpy's type of Pillow's grey modes."""
_SAMPLES = {"LA", "RGB", "RGBA"}
"""Modes of several samples, which may turn out grey."""
_ORIENTATION = 274
"""The number of EXIF's entry."""

MAX_PIXELS_PER_BYTE = 2**14
"""More no PNG (1032 bytes from one, 8 pixels in each) or JPEG can encode."""


def is_image(head: bytes) -> bool:
    """Whether a file with these first bytes is a PNG or a JPEG."""
    return head.startswith((_PNG, _JPEG))


def open_image(url: str, *, labels: bool = False) -> Source:
    """The plane in a PNG or JPEG, from its header; IngestError for colour.

    Red, green and blue count as grey where they are equal, which is looked at here. A palette of
    greys gives its greys, and with `labels` its indices.

    Planes are turned as EXIF says, if it does.

    These formats state dots per inch at best, so there is no voxel size. Fewer than
    eight bits per pixel are spread over 0 to 255, as the PNG specification scales samples:
    programs save masks with one bit or eight as it comes, within one series.
    """
    with reading(url), opened(url) as file, _image(file, url) as image:
        mode, width, height, found = image.mode, image.width, image.height, stamp(url)
        if mode not in (*_GREY, *_SAMPLES, "P"):
            raise IngestError(f"{url} has pixels of mode {mode}: it {COLOUR}")
        if height * width > MAX_PIXELS_PER_BYTE * max(1, found[1]):
            raise IngestError(
                f"{url} claims {width} x {height} pixels in {found[1]} bytes; it is damaged"
            )
        if labels and isinstance(image, JpegImageFile):
            refuse_lossy_labels(url)
        palette = _palette(image) if mode == "P" else None
        # of 16 bits per sample Pillow drops 8
        deep = mode in _SAMPLES and ";16" in str(image.tile[0].args)
        orientation = _orientation(image)
    plane = ImagePlane(
        shape=(1, height, width),
        dtype="uint16" if deep else _GREY.get(mode, "uint8"),
        identity=(found,),
        url=url,
        deep=deep,
    )
    if mode in _SAMPLES:  # here rather than when the run comes to it
        plane.read(whole_box(plane.shape))
    greys = plane if palette is None or labels else by_palette(plane, palette, url)
    return oriented(greys, orientation)


def _orientation(image: ImageFile) -> int | None:
    """What EXIF says in front of the pixels: looking behind them would decode them all."""
    exif = Exif()
    exif.load(image.info.get("exif", b""))
    return exif.get(_ORIENTATION)


def _palette(image: ImageFile) -> npt.NDArray[np.uint8]:
    """A row per value: red, green, blue and how opaque."""
    # not getpalette, which decodes all pixels first
    stored = bytes(image.palette.palette or b"") if image.palette else b""
    colours = np.frombuffer(stored, np.uint8).reshape(-1, 3)
    opaque = np.full(len(colours), 255, np.uint8)
    # a byte for each value, or the one value that is clear
    stated = image.info.get("transparency", b"")
    if isinstance(stated, int):
        opaque[stated : stated + 1] = 0
    else:
        opaque[: len(stated)] = np.frombuffer(stated, np.uint8)[: len(opaque)]
    return np.column_stack([colours, opaque])


@dataclass(frozen=True, kw_only=True)
class ImagePlane(Source):
    """The plane of a PNG or JPEG; its rows can be had only by decoding all before them."""

    url: str
    deep: bool = False
    """Whether it has several samples of 16 bits."""

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        # all of the file: of a damaged one Pillow would read as many bytes as it claims to have
        with reading(self.url), opened(self.url) as file:
            content = file.read()
            values = png_decode(content) if self.deep else self._by_pillow(content)
        if values.ndim == 3:
            if not is_grey(values):
                raise IngestError(f"{self.url} {COLOUR}")
            values = values[..., 0]
        return values[None][box.slices]

    def _by_pillow(self, content: bytes) -> npt.NDArray[Any]:
        with _image(BytesIO(content), self.url) as image:
            grey = image.convert("L") if image.mode == "1" else image
            return np.asarray(grey, dtype=self.dtype)


@contextmanager
def _image(file: BinaryIO, url: str) -> Iterator[ImageFile]:
    # Not Image.open: it refuses large planes as if they were attacks
    head = file.read(32)
    file.seek(0)
    if not is_image(head):
        raise not_a("PNG or JPEG", url, head)
    kind = PngImageFile if head.startswith(_PNG) else JpegImageFile
    with kind(file) as image:
        yield image
