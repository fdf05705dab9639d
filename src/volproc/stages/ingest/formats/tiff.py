"""TIFF: planes and stacks, plain, BigTIFF, ImageJ or OME, in any compression tifffile reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tifffile

from volproc.errors import IngestError
from volproc.grid.box import Box
from volproc.stages.ingest.formats.photometry import COLOUR, in_greys, refuse_lossy_labels
from volproc.stages.ingest.formats.raw import raw_planes
from volproc.stages.ingest.formats.tiff_decoding import (
    decode_into,
    refuse_unbelievable,
    segment_shape,
)
from volproc.stages.ingest.formats.tiff_metadata import complete, ome_pixels, raise_heard, stated_of
from volproc.stages.ingest.formats.views import oriented
from volproc.stages.ingest.voxel_source import Source, described, not_a, opened, reading, stamp


def is_tiff(head: bytes) -> bool:
    """Whether a file with these first bytes is a TIFF or BigTIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_tiff(
    url: str, *, labels: bool = False, times: Literal["refuse", "slices"] = "refuse"
) -> Source:
    """The grey planes of a TIFF, in the order of its pages; `labels` are numbers as stored.

    Voxel sizes come from OME or ImageJ metadata; plain resolution tags are not trusted: most
    programs write 72 or 96 dpi there. Red, green and blue count as grey where they are equal.
    Times count as slices where `times` says so and each has one. IngestError for colour, channels,
    other times, planes of unequal size, and a file cut short.
    """
    with reading(url), described(url), complete(), opened(url) as raw:
        head = raw.read(32)
        if not is_tiff(head):
            raise not_a("TIFF", url, head)
        raw.seek(0)
        # _multifile: without it tifffile would open whatever other files OME metadata names
        name = url.rpartition("/")[2]
        with tifffile.TiffFile(raw, name=name, _multifile=False) as file:
            images = _images(file, url, times=times == "slices")
            source = _source(file, images, url)
            first = [image.keyframe for image in images]
            if labels and any(map(_is_lossy, first)):
                refuse_lossy_labels(url)
            greys = source if labels else in_greys(source, first, url)
            # OME and ImageJ have axes of their own, and do not know of it
            known = not (file.is_ome or file.is_imagej)
            return oriented(greys, first[0].tags.valueof(274)) if known else greys


@dataclass(frozen=True, kw_only=True)
class TiffPlanes(Source):
    """Compressed or tiled planes: only the strips and tiles that meet a box are decoded.

    `pages` are the places in the file where the planes are described: looking them up again
    would mean walking from page to page.
    """

    url: str
    pages: tuple[int, ...]

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        out = np.zeros(box.shape, dtype=self.dtype)
        corner = (box.start[1], box.start[2])
        with reading(self.url), described(self.url), complete(), opened(self.url) as raw:
            file = tifffile.TiffFile(raw)
            for plane, place in zip(out, self.pages[box.start[0] : box.stop[0]], strict=True):
                file.filehandle.seek(place)
                page = tifffile.TiffPage(file, 0)
                refuse_unbelievable(page, self.shape[1:])
                if not decode_into(plane, page, corner):
                    raise IngestError(f"{self.url} {COLOUR}")
        return out


def _source(file: tifffile.TiffFile, images: Sequence[tifffile.TiffPageSeries], url: str) -> Source:
    first = images[0]
    height, width = _plane_shape(first)
    colour = first.keyframe.samplesperpixel > 1
    offsets: tuple[int, ...] = ()
    if len(images) == 1 and first.dataoffset is not None and not colour:
        depth, offsets = first.size // (height * width), (first.dataoffset,)
    else:
        pages = _pages(images, file, url)
        depth = len(pages)
        if all(_is_raw(page) for page in pages):
            offsets = tuple(page.dataoffsets[0] for page in pages)
    shape, stated, identity = (depth, height, width), stated_of(file), (stamp(url),)
    if offsets:
        stored = first.dtype.newbyteorder(file.byteorder).str
        return raw_planes(
            url, offsets=offsets, stored=stored, shape=shape, stated=stated, identity=identity
        )
    source = TiffPlanes(
        shape=shape,
        dtype=str(first.dtype),
        identity=identity,
        stated=stated,
        # a strip of more than half a plane costs more for rows than it saves
        by_rows=all(2 * segment_shape(image.keyframe)[0] <= height for image in images),
        url=url,
        pages=tuple(page.offset for page in pages),
    )
    if colour:  # looked at here rather than when the run comes to it
        source.read(Box((0, 0, 0), (1, height, width)))
    return source


def _images(file: tifffile.TiffFile, url: str, *, times: bool) -> Sequence[tifffile.TiffPageSeries]:
    """The images in the file that make up the volume: all but thumbnails and masks."""
    file.pages.first.aspage()
    raise_heard()
    images = [s for s in file.series if not (s.keyframe.is_reduced or s.keyframe.is_mask)]
    images = images or list(file.series)
    if not images:
        raise IngestError(f"{url} holds no image")
    for image in images:
        _check_grey(image, file, url, times=times)
    kinds = {(_plane_shape(image), image.dtype) for image in images}
    if len(kinds) > 1 or (len(images) > 1 and file.is_ome):
        found = " and ".join(f"{image.dtype} of {image.shape}" for image in images[:2])
        raise IngestError(
            f"{url} holds {len(images)} images ({found}); a volume needs planes of one size and "
            "type: save each image in a file of its own"
        )
    return images


def _check_grey(
    image: tifffile.TiffPageSeries, file: tifffile.TiffFile, url: str, *, times: bool
) -> None:
    # axes of length 1 do not count: OME and ImageJ put some in front
    extra = [a for a, n in zip(image.axes, image.shape, strict=True) if n > 1 and a not in "YX"]
    if _may_be_grey(image.keyframe):
        extra = [axis for axis in extra if axis != "S"]
    known = "ZIQT" if times else "ZIQ"
    grey = len(extra) <= 1 and set(extra) <= set(known) and _may_be_grey(image.keyframe)
    if file.is_ome and image.kind != "ome":  # other files have planes too: its pages are used
        pixels = ome_pixels(file.ome_metadata)
        grey = grey and pixels.get("SizeC", "1") == "1"
        grey = grey and (times or pixels.get("SizeT", "1") == "1")
    if not grey:
        raise IngestError(
            f"{url} has axes {image.axes} of {image.shape}; a volume needs grey planes (z, y, x): "
            "convert colour to grey, split channels, and take times that are slices as such with "
            "--times slices, or [ingest] times"
        )
    if image.dtype is None or image.dtype.kind not in "biuf":
        raise IngestError(f"{url} holds {image.dtype} voxels; a volume needs real numbers")


def _may_be_grey(page: Any) -> bool:
    """One sample per pixel, or red, green and blue side by side, which may turn out equal."""
    colours = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
    side_by_side = page.samplesperpixel in (3, 4) and page.planarconfig == 1
    return page.samplesperpixel == 1 or (side_by_side and page.photometric in colours)


def _is_lossy(page: Any) -> bool:
    """Whether values came out otherwise than they went in; of 16 bits JPEG has no other kind."""
    compression = tifffile.COMPRESSION(page.compression)
    always = (tifffile.COMPRESSION.JPEG_2000_LOSSY, tifffile.COMPRESSION.JPEG_LOSSY)
    jpeg = (tifffile.COMPRESSION.JPEG, tifffile.COMPRESSION.OJPEG)
    return compression in always or (compression in jpeg and page.bitspersample <= 12)


def _plane_shape(image: tifffile.TiffPageSeries) -> tuple[int, int]:
    return image.keyframe.imagelength, image.keyframe.imagewidth


def _pages(images: Sequence[tifffile.TiffPageSeries], file: tifffile.TiffFile, url: str) -> Any:
    """Every plane's page; IngestError if one is missing or reaches beyond the file's end."""
    pages = [page for image in images for page in image.pages]
    samples = images[0].keyframe.samplesperpixel
    planes = sum(image.size // prod(_plane_shape(image)) // samples for image in images)
    if None in pages or len(pages) != planes:
        found = len(pages) - pages.count(None)
        raise IngestError(
            f"{url} holds {found} pages, expected {planes} for its {planes} planes; the file may "
            "be cut short, or its other planes are in other files"
        )
    if len(images) > 1:
        pages.sort(key=lambda page: page.index)  # tifffile sorts by kind of storage first
    size = file.filehandle.size
    for number, page in enumerate(pages):
        end = page.dataoffsets[-1] + page.databytecounts[-1]
        if end > size:
            raise IngestError(
                f"{url} is cut short: {size} bytes, plane {number} reaches to {end}; copy it again"
            )
    return pages


def _is_raw(page: Any) -> bool:
    ends = (o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False))
    return (
        page.is_final
        and page.samplesperpixel == 1
        and all(
            end == following for end, following in zip(ends, page.dataoffsets[1:], strict=False)
        )
    )
