"""What the headers of a series' files state before the run: sizes, types, planes of each file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from volproc.errors import IngestError
from volproc.grid.box import Shape
from volproc.stages.ingest.voxel_source import Source, Stamp

if TYPE_CHECKING:
    from volproc.stages.ingest.formats.file_formats import Opener

CONNECTIONS = 8
"""Remote files that are read at once; local ones are read one after the other, which is as fast."""

MAX_REMOTE_HEADERS = 64
"""At most so many headers of remote slices are read before the run, evenly spread."""


def slice_headers(
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
    remote = is_remote(urls[0])
    most = MAX_REMOTE_HEADERS if remote and most is None else most
    slices = all(source.shape[0] == 1 for source in found.values())
    if slices and not everything and most is not None:
        odd = odd[:: -(-len(odd) // most) or 1] if most else []
    left = [url for url in odd if url not in found]
    with ThreadPoolExecutor(CONNECTIONS if remote else 1) as pool:
        return found | dict(zip(left, pool.map(opener, left), strict=True))


def plane_shape(sources: Mapping[str, Source], *, pad: bool) -> tuple[int, int]:
    """Height and width of all slices; the largest of each where they are padded."""
    first = next(iter(sources.values()))
    for url, source in sources.items():
        if source.dtype != first.dtype or (source.shape[1:] != first.shape[1:] and not pad):
            raise IngestError(unequal(url, source, first.dtype, first.shape))
    shapes = [source.shape for source in sources.values()]
    return max(y for _, y, _ in shapes), max(x for _, _, x in shapes)


def unequal(url: str, source: Source, dtype: str, shape: Shape) -> str:
    """The line about a slice of another size or type."""
    way_out = '; [ingest] unequal = "pad" fills up with 0' if source.dtype == dtype else ""
    return (
        f"{url} is {source.dtype} of {source.shape}, others of its series {dtype} of {shape}; "
        f"all slices need one size and type{way_out}"
    )


def depths_of(
    urls: Sequence[str], files: Mapping[str, Stamp], sources: Mapping[str, Source]
) -> tuple[int, ...]:
    """Planes of each file, where some have more than one; files of one size have as many."""
    if all(source.shape[0] == 1 for source in sources.values()):
        return ()
    by_size = {files[url][1]: source.shape[0] for url, source in sources.items()}
    return tuple(
        sources[url].shape[0] if url in sources else by_size[files[url][1]] for url in urls
    )


def is_remote(url: str) -> bool:
    """Whether a URL leads to another machine."""
    return "://" in url and not url.startswith(("file://", "local://"))
