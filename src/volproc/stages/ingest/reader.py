"""Which reader a path or URL gets: a line here and a file beside this one per format."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import import_module
from typing import Any

from volproc.config import IngestOptions
from volproc.errors import IngestError
from volproc.location import located
from volproc.retry import patient
from volproc.stages.ingest.series import Opener, list_files, open_series
from volproc.stages.ingest.source import Source, Stamp, opened, reading

HEAD_BYTES = 512
"""What a format is recognised by."""

ZARR_MARKS = ("zarr.json", ".zgroup", ".zarray", "attributes.json")
"""Files that make a folder one array or group: Zarr v3, v2, N5."""


@dataclass(frozen=True)
class Format:
    """A file format; `module` has `open_MODULE` and `is_MODULE`, imported when first needed."""

    name: str
    suffixes: tuple[str, ...]
    module: str

    def opener(self) -> Opener:
        """The function that opens one file."""
        opener: Opener = getattr(self._imported(), f"open_{self.module}")
        return opener

    def recognises(self, head: bytes) -> bool:
        """Whether a file that begins so is of this format."""
        return bool(getattr(self._imported(), f"is_{self.module}")(head))

    def named(self, url: str) -> bool:
        """Whether a file's name ends as this format's do."""
        return url.lower().endswith(self.suffixes)

    def _imported(self) -> Any:
        return import_module(f"volproc.stages.ingest.{self.module}")


_MRC = (".mrc", ".rec", ".map", ".st", ".ali", ".mrcs", ".preali")
FORMATS = (
    Format("TIFF", (".tif", ".tiff", ".btf", ".tf8"), "tiff"),
    Format("PNG", (".png",), "image"),
    Format("JPEG", (".jpg", ".jpeg"), "image"),
    Format("DM3/DM4", (".dm3", ".dm4"), "dm"),
    Format("MRC", (*_MRC, *(f"{suffix}.gz" for suffix in _MRC)), "mrc"),
    Format("HDF5", (".h5", ".hdf5", ".hdf"), "hdf5"),
)

_READ = f"read are {', '.join(f.name for f in FORMATS)}, folders of those, OME-Zarr, Zarr and N5"


def open_source(url: str, options: IngestOptions) -> Source:
    """The voxels at a path or fsspec URL: a file, a folder of numbered files, a Zarr or N5.

    The url may go on inside an HDF5 file or a Zarr (VOLUME.h5/raw, IMAGE.zarr/0), and its last
    part may be a pattern (FOLDER/slice_*.tif). IngestError, one line, for what cannot be read.
    """
    url = url.rstrip("/")
    folder, _, last = url.rpartition("/")
    if "*" in last:
        files = {u: s for u, s in _files(folder).items() if fnmatch(u.rpartition("/")[2], last)}
        return _open_files(files, url, options)
    kind = _kind(url)
    if kind == "zarr":
        return _open_zarr(url, options.channel)
    if kind == "file":
        return opener_of(url)(url)
    if kind == "folder":
        return _open_files(_files(url), url, options)
    return _open_inside(url, options)


def _open_inside(url: str, options: IngestOptions) -> Source:
    """What lies inside the nearest file or Zarr above a URL that does not exist by itself."""
    above = url
    while "/" in above.partition("://")[2] or ("://" not in above and "/" in above):
        above = above.rpartition("/")[0]
        kind = _kind(above)
        if kind == "zarr":
            return _open_zarr(url, options.channel)
        if kind == "file" and _format(above).module == "hdf5":
            return _format(above).opener()(url)
        if kind is not None:
            break
    raise IngestError(f"{url} does not exist; expected a file, a folder of slices, or a Zarr")


def _open_files(files: dict[str, Stamp], where: str, options: IngestOptions) -> Source:
    """The series of those files that a format claims by their names."""
    found: dict[str, list[str]] = defaultdict(list)
    for url in files:
        for known in FORMATS:
            if known.named(url):
                found[known.name].append(url)
    if not found:
        raise IngestError(f"{where} holds no image file among {len(files)} files; {_READ}")
    if len(found) > 1:
        names = " and ".join(f"{name} ({len(urls)} files)" for name, urls in found.items())
        raise IngestError(
            f"{where} holds {names}; a series is of one format: name its files (FOLDER/*.tif)"
        )
    (urls,) = found.values()
    return open_series({u: files[u] for u in urls}, opener_of(urls[0]), options)


def _open_zarr(url: str, channel: int | None) -> Source:
    from volproc.stages.ingest.zarr import open_zarr

    return open_zarr(url, channel=channel)


def opener_of(url: str) -> Opener:
    """What opens the file at `url` and others of its format."""
    return _format(url).opener()


def _format(url: str) -> Format:
    """By the first bytes of the file; where they tell nothing, by its name."""
    with reading(url), opened(url) as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise IngestError(f"{url} is empty")
    named = [known for known in FORMATS if known.named(url)]
    for known in (*named, *FORMATS):
        if known.recognises(head):
            return known
    if not named:
        raise IngestError(f"{url} is of no format that is read; {_READ}")
    return named[0]


@patient
def _files(folder: str) -> dict[str, Stamp]:
    with reading(folder):
        return list_files(folder)


@patient
def _kind(url: str) -> str | None:
    """Whether "file", "folder", "zarr", or nothing lies at a URL."""
    filesystem, path = located(url)
    try:
        info = filesystem.info(path)
        is_file = info["type"] == "file"
        if is_file and url.startswith("http") and not any(known.named(url) for known in FORMATS):
            is_file = not filesystem.isdir(path)  # a web server does not tell
    except Exception as error:
        # for the web fsspec calls every failure a missing file, and hides why
        why = (url.startswith("http") and error.__cause__) or error
        absent = isinstance(why, FileNotFoundError | NotADirectoryError)
        if absent or getattr(why, "status", None) in (404, 410):
            return None
        raise IngestError(f"cannot reach {url}: {str(why) or type(why).__name__}") from error
    if is_file:
        return "file"
    marked = any(filesystem.exists(f"{path.rstrip('/')}/{mark}") for mark in ZARR_MARKS)
    return "zarr" if marked else "folder"
