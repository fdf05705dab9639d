"""PNG and JPEG: one grey plane per file, decoded whole by Pillow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from volproc.errors import IngestError
from volproc.grid.box import Box, Shape, whole_box
from volproc.grid.scale import VoxelNm
from volproc.stages.ingest.samples import COLOUR, is_grey
from volproc.stages.ingest.source import Source, Stamp, not_a, opened, reading, stamp

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_GREY = {"1": "uint8", "L": "uint8", "I;16": "uint16"}
"""numpy's type of Pillow's grey modes."""
_SAMPLES = {"LA", "RGB", "RGBA"}
"""Modes of 8 bits per sample, which may turn out grey."""

MAX_PIXELS_PER_BYTE = 2**14
"""More no PNG (1032 bytes from one, 8 pixels in each) or JPEG can hold."""


def is_image(head: bytes) -> bool:
    """Whether a file with these first bytes is a PNG or a JPEG."""
    return head.startswith((_PNG, _JPEG))


def open_image(url: str) -> Source:
    """The plane in a PNG or JPEG, from its header; IngestError for palettes and colour.

    Red, green and blue count as grey where they are equal, which is looked at.

    These formats state dots per inch at best, so there is no voxel size. Fewer than
    eight bits per pixel are spread over 0 to 255, as the PNG specification scales samples:
    programs save masks with one bit or eight as it comes, within one series.
    """
    with reading(url), opened(url) as file, _image(file, url) as image:
        found = stamp(url)
        if image.mode not in _GREY and image.mode not in _SAMPLES:
            raise IngestError(f"{url} has pixels of mode {image.mode}: it {COLOUR}")
        if image.height * image.width > MAX_PIXELS_PER_BYTE * max(1, found[1]):
            raise IngestError(
                f"{url} claims {image.width} x {image.height} pixels in {found[1]} bytes; it is "
                "damaged"
            )
        shape = (1, image.height, image.width)
        plane = ImagePlane(url, shape, _GREY.get(image.mode, "uint8"), (found,))
    if image.mode in _SAMPLES:  # here rather than when the run comes to it
        plane.read(whole_box(shape))
    return plane


@dataclass(frozen=True)
class ImagePlane:
    """The plane of a PNG or JPEG."""

    url: str
    shape: Shape
    dtype: str
    identity: tuple[Stamp, ...]

    @property
    def voxel_nm(self) -> VoxelNm | None:
        """None: these files do not state it."""
        return None

    @property
    def by_rows(self) -> bool:
        """Rows can be had only by decoding all before them."""
        return False

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        # all of the file: of a damaged one Pillow asks for as many bytes as it claims to have
        with (
            reading(self.url),
            opened(self.url) as file,
            _image(BytesIO(file.read()), self.url) as image,
        ):
            grey = image.convert("L") if image.mode == "1" else image
            values = np.asarray(grey, dtype=self.dtype)
        if values.ndim == 3:
            if not is_grey(values):
                raise IngestError(f"{self.url} {COLOUR}")
            values = values[..., 0]
        return values[None][box.slices]


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
