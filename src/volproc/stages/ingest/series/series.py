"""Many files, one after the other along z: slices, or stacks of them, of any format."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from volproc.errors import IngestError
from volproc.grid.box import Box, Shape
from volproc.location import (
    filesystem_of,
    name_of,
)
from volproc.stages.ingest.series.folder import Taken
from volproc.stages.ingest.series.slice_numbers import (
    Numbering,
    filled_slices,
    number_names,
)
from volproc.stages.ingest.voxel_source import (
    PixelNm,
    Source,
    Stamp,
    refuse_other_pixels,
)

if TYPE_CHECKING:
    from volproc.stages.ingest.formats.registry import Opener
    from volproc.stages.ingest.options import IngestOptions  # workers need not know of options

CONNECTIONS = 8
"""Remote files that are read at once; local ones are read one by one, which is as fast."""

REMOTE_HEADERS = 64
"""At most so many headers of remote slices are read before the run, evenly spread."""


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
    remains is checked when it is read. `taken` is what else their folder holds.
    IngestError for gaps, doubled numbers and unequal slices, unless an option fills or pads.
    """
    by_name = {name_of(url): url for url in files}
    numbering = (
        number_names(list(by_name)) if len(files) > 1 else Numbering(tuple(by_name), (0,), 1)
    )
    urls = [by_name[name] for name in numbering.names]
    sources = _headers(urls, files, opener, everything=options.unequal == "pad", most=most_headers)
    first = sources[urls[0]]
    shape = _plane_shape(sources, pad=options.unequal == "pad")
    pixels_nm = None if options.voxel_nm else first.pixel_nm
    for url, source in sources.items():
        refuse_other_pixels(url, source, pixels_nm)
    depths = _depths(urls, files, sources)
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
        pad=options.unequal == "pad",
        pixels_nm=pixels_nm,
    )


@dataclass(frozen=True, kw_only=True)
class Series(Source):
    """Files along z. Slices that no file holds (`filled`) are repeated, or blank.

    It travels with every block, so it is kept small: `middles` has what differs in the URLs,
    separated by NUL, between two common `ends`; `depths` is empty where every file holds
    one plane.
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
        if _is_remote(urls[0]) and len(parts) > 1:
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
            raise IngestError(_unequal(url, source, self.dtype, (depth, *self.shape[1:])))
        refuse_other_pixels(url, source, self.pixels_nm)
        first = planes[0][1]
        wanted = Box((first, *box.start[1:]), (planes[-1][1] + 1, *box.stop[1:]))
        part = wanted.clip(Box((0, 0, 0), source.shape))
        if part.size == 0:  # in the padding
            return
        values = source.read(part)
        _, rows, columns = values.shape
        for z, plane in planes:
            out[z, :rows, :columns] = values[plane - first]


def _opened(opener: Opener, url: str) -> Source:
    """The source of a file. Headers are kept a while: the bands of a plane come one by one."""
    if _is_remote(url):
        return opener(url)
    status = os.stat(filesystem_of(url)[1])
    return _opened_state(opener, url, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=512)
def _opened_state(opener: Opener, url: str, modified_ns: int, size: int) -> Source:
    return opener(url)


def _headers(
    urls: Sequence[str],
    files: Mapping[str, Stamp],
    opener: Opener,
    *,
    everything: bool,
    most: int | None,
) -> dict[str, Source]:
    """Sources of the files whose headers are worth reading before the run."""
    sizes = [files[url][1] for url in urls]
    common = Counter(sizes).most_common(1)[0][0]
    odd = [u for u, n in zip(urls, sizes, strict=True) if n != common or n == 0 or everything]
    some = dict.fromkeys([urls[0], urls[sizes.index(common)], urls[-1]])
    found = {url: opener(url) for url in some}
    remote = _is_remote(urls[0])
    most = REMOTE_HEADERS if remote and most is None else most
    slices = all(source.shape[0] == 1 for source in found.values())
    if slices and not everything and most is not None:
        odd = odd[:: -(-len(odd) // most) or 1] if most else []
    left = [url for url in odd if url not in found]
    with ThreadPoolExecutor(CONNECTIONS if remote else 1) as pool:
        return found | dict(zip(left, pool.map(opener, left), strict=True))


def _plane_shape(sources: Mapping[str, Source], *, pad: bool) -> tuple[int, int]:
    first = next(iter(sources.values()))
    for url, source in sources.items():
        if source.dtype != first.dtype or (source.shape[1:] != first.shape[1:] and not pad):
            raise IngestError(_unequal(url, source, first.dtype, first.shape))
    shapes = [source.shape for source in sources.values()]
    return max(y for _, y, _ in shapes), max(x for _, _, x in shapes)


def _unequal(url: str, source: Source, dtype: str, shape: Shape) -> str:
    way_out = '; [ingest] unequal = "pad" fills up with 0' if source.dtype == dtype else ""
    return (
        f"{url} is {source.dtype} of {source.shape}, others of its series {dtype} of {shape}; "
        f"all slices need one size and type{way_out}"
    )


def _depths(
    urls: Sequence[str], files: Mapping[str, Stamp], sources: Mapping[str, Source]
) -> tuple[int, ...]:
    """Planes of each file, where some hold more than one; files of one size hold as many."""
    if all(source.shape[0] == 1 for source in sources.values()):
        return ()
    by_size = {files[url][1]: source.shape[0] for url, source in sources.items()}
    return tuple(
        sources[url].shape[0] if url in sources else by_size[files[url][1]] for url in urls
    )


def _shortened(urls: Sequence[str]) -> tuple[str, tuple[str, str]]:
    """What differs in the URLs, joined by NUL, and what all of them begin and end with."""
    begin = _common_start(urls)
    rest = [url[len(begin) :] for url in urls]
    end = _common_start([url[::-1] for url in rest])[::-1]
    return "\0".join(url[: len(url) - len(end)] for url in rest), (begin, end)


def _common_start(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    same = (a == b for a, b in zip(first, last, strict=False))
    return first[: next((i for i, equal in enumerate(same) if not equal), len(first))]


def _is_remote(url: str) -> bool:
    return "://" in url and not url.startswith(("file://", "local://"))
