"""Many files, one after the other along z: slices, or stacks of them, of any format."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from volproc.errors import IngestError
from volproc.grid.box import Box
from volproc.location import filesystem_of, name_of
from volproc.stages.ingest.series.folder import Taken
from volproc.stages.ingest.series.slice_headers import (
    CONNECTIONS,
    depths_of,
    is_remote,
    plane_shape,
    slice_headers,
    unequal,
)
from volproc.stages.ingest.series.slice_numbers import Numbering, filled_slices, number_names
from volproc.stages.ingest.voxel_source import PixelNm, Source, Stamp, refuse_other_pixels

if TYPE_CHECKING:
    from volproc.stages.ingest.formats.file_formats import Opener
    from volproc.stages.ingest.options import IngestOptions  # workers need not know of options


def open_series(
    files: Mapping[str, Stamp],
    opener: Opener,
    options: IngestOptions,
    *,
    most_headers: int | None = None,
    taken: Taken | None = None,
) -> Series:
    """The planes of `files` (URL and stamp), sorted by the numbers in their names.

    Headers are read of the first and last file, and of those whose size in bytes is not the
    commonest (at most `most_headers` of them, evenly spread); with `unequal` = pad, of all. What
    remains is checked when it is read. `taken` is what else their folder contains.
    IngestError for gaps, doubled numbers and unequal slices, unless an option fills or pads.
    """
    by_name = {name_of(url): url for url in files}
    numbering = (
        number_names(list(by_name)) if len(files) > 1 else Numbering(tuple(by_name), (0,), 1)
    )
    urls = [by_name[name] for name in numbering.names]
    pad = options.unequal == "pad"
    sources = slice_headers(urls, files, opener, everything=pad, most=most_headers)
    first = sources[urls[0]]
    shape = plane_shape(sources, pad=pad)
    pixels_nm = None if options.voxel_nm else first.pixel_nm
    for url, source in sources.items():
        refuse_other_pixels(url, source, pixels_nm)
    depths = depths_of(urls, files, sources)
    if depths and numbering.gaps:
        raise IngestError(
            f"numbers are missing before {urls[numbering.gaps[0][0]]}, and how many planes those "
            "stacks hold is not known; add the files"
        )
    filled = filled_slices(numbering, options.missing, where=urls[0].rpartition("/")[0])
    middles, ends = _shortened(urls)
    depth = (sum(depths) or len(urls)) + len(filled)
    listed = taken.line(depth, numbering.shown(numbering.step)) if taken else ""
    return Series(
        shape=(depth, *shape),
        dtype=first.dtype,
        # what was opened tells its size even where a web server's listing did not
        identity=tuple(sources[url].identity[0] if url in sources else files[url] for url in urls),
        stated=first.stated,
        by_rows=all(source.by_rows for source in sources.values()),
        kind=first.kind,
        note="; ".join(filter(None, (listed, first.note))),
        filled=filled,
        opener=opener,
        middles=middles,
        ends=ends,
        depths=depths,
        repeat=options.missing == "repeat",
        pad=pad,
        pixels_nm=pixels_nm,
    )


@dataclass(frozen=True, kw_only=True)
class Series(Source):
    """Files along z. Slices that are in no file (`filled`) are repeated, or blank.

    It travels with every block, so it is kept small: `middles` has what differs in the URLs,
    separated by NUL, between two common `ends`; `depths` is empty where every file
    has one plane.
    """

    opener: Opener
    middles: str
    ends: tuple[str, str]
    depths: tuple[int, ...]
    repeat: bool
    pad: bool
    pixels_nm: PixelNm | None
    """Of every slice; None where the files state none, or another size replaces it."""

    @property
    def urls(self) -> list[str]:
        """The files in their order."""
        return [self.ends[0] + middle + self.ends[1] for middle in self.middles.split("\0")]

    def spans(self) -> dict[str, tuple[int, int]]:
        """First and one past the last slice of the series that each file is needed for."""
        urls = self.urls
        return {
            urls[file]: (places[0][0], places[-1][0] + 1)
            for file, places in self._parts(Box((0, 0, 0), self.shape))
        }

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The voxels of `box`."""
        out = np.zeros(box.shape, dtype=self.dtype)
        urls = self.urls

        def fill(part: tuple[int, list[tuple[int, int]]]) -> None:
            file, planes = part
            self._fill(out, urls[file], self.depths[file] if self.depths else 1, box, planes)

        parts = list(self._parts(box))
        if is_remote(urls[0]) and len(parts) > 1:
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                list(pool.map(fill, parts))
        else:
            for part in parts:
                fill(part)
        return out

    def _parts(self, box: Box) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """Files under the box, each with pairs: slice of the box, plane of the file."""
        stops = list(accumulate(self.depths))
        places = []
        for z in range(box.start[0], box.stop[0]):
            before = bisect_right(self.filled, z)
            if before and self.filled[before - 1] == z and not self.repeat:
                continue
            plane = z - before  # of the planes that exist: a filled one's is the one before it
            file = bisect_right(stops, plane) if stops else plane
            inside = plane - (stops[file - 1] if file else 0) if stops else 0
            places.append((file, (z - box.start[0], inside)))
        for file, group in groupby(places, key=lambda place: place[0]):
            yield file, [pair for _, pair in group]

    def _fill(
        self,
        out: npt.NDArray[Any],
        url: str,
        depth: int,
        box: Box,
        planes: Sequence[tuple[int, int]],
    ) -> None:
        source = _opened(self.opener, url)
        same_size = source.shape[1:] == self.shape[1:] or self.pad
        if source.dtype != self.dtype or source.shape[0] != depth or not same_size:
            raise IngestError(unequal(url, source, self.dtype, (depth, *self.shape[1:])))
        refuse_other_pixels(url, source, self.pixels_nm)
        first = planes[0][1]
        requested = Box((first, *box.start[1:]), (planes[-1][1] + 1, *box.stop[1:]))
        part = requested.clip(Box((0, 0, 0), source.shape))
        if part.size == 0:  # in the padding
            return
        values = source.read(part)
        _, rows, columns = values.shape
        for z, plane in planes:
            out[z, :rows, :columns] = values[plane - first]


def _opened(opener: Opener, url: str) -> Source:
    """The source of a file. Headers are cached, since a plane is read in several bands."""
    if is_remote(url):
        return opener(url)
    status = os.stat(filesystem_of(url)[1])
    return _opened_state(opener, url, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=512)
def _opened_state(opener: Opener, url: str, modified_ns: int, size: int) -> Source:
    return opener(url)


def _shortened(urls: Sequence[str]) -> tuple[str, tuple[str, str]]:
    """What differs in the URLs, joined by NUL, and what all of them begin and end with."""
    begin = os.path.commonprefix(list(urls))  # noqa: RUF071 - letter by letter is meant
    rest = [url[len(begin) :] for url in urls]
    end = os.path.commonprefix([url[::-1] for url in rest])[::-1]  # noqa: RUF071
    return "\0".join(url.removesuffix(end) for url in rest), (begin, end)
