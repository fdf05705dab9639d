"""The file formats that are read: a line here and a file in this folder for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from volproc.errors import IngestError
from volproc.stages.ingest.options import IngestOptions
from volproc.stages.ingest.voxel_source import Source, opened, reading

HEAD_BYTES = 512
"""What a format is recognised by."""

Opener = Callable[[str], Source]
"""What opens one file of a format."""


@dataclass(frozen=True)
class OpenWith:
    """Opens files with some options. Not a partial: two of the same have to be equal."""

    opener: Callable[..., Source]
    options: tuple[tuple[str, Any], ...]

    def __call__(self, url: str) -> Source:
        """The source of a file."""
        return self.opener(url, **dict(self.options))


@dataclass(frozen=True)
class Format:
    """A file format; `module` has `open_MODULE` and `is_MODULE`, imported when first needed.

    `takes` are the options that its opener knows.
    """

    name: str
    suffixes: tuple[str, ...]
    module: str
    takes: tuple[str, ...] = ()

    def opener(self, options: IngestOptions) -> Opener:
        """The function that opens one file."""
        opener: Opener = getattr(self._imported(), f"open_{self.module}")
        if options.axes and "axes" not in self.takes:
            raise IngestError(
                f"--axes names the axes of arrays (HDF5, Zarr, N5); {self.name} files have theirs "
                "in a fixed order: leave it out"
            )
        known = type(options).model_fields
        stated = {n: getattr(options, n) for n in self.takes}
        given = tuple((n, v) for n, v in stated.items() if v != known[n].default)
        if given:
            opener = OpenWith(opener, given)
        return opener

    def recognises(self, head: bytes) -> bool:
        """Whether a file that begins so is of this format."""
        return bool(getattr(self._imported(), f"is_{self.module}")(head))

    def named(self, url: str) -> bool:
        """Whether a file's name ends as this format's do."""
        return url.lower().endswith(self.suffixes)

    def _imported(self) -> Any:
        return import_module(f"volproc.stages.ingest.formats.{self.module}")


_MRC = (".mrc", ".rec", ".map", ".st", ".ali", ".mrcs", ".preali")
FORMATS = (
    Format("TIFF", (".tif", ".tiff", ".btf", ".tf8"), "tiff", ("labels", "times")),
    Format("PNG", (".png",), "image", ("labels",)),
    Format("JPEG", (".jpg", ".jpeg"), "image", ("labels",)),
    Format("DM3/DM4", (".dm3", ".dm4"), "dm"),
    Format("MRC", (*_MRC, *(f"{suffix}.gz" for suffix in _MRC)), "mrc"),
    Format("HDF5", (".h5", ".hdf5", ".hdf"), "hdf5", ("axes", "channel")),
)

FORMATS_READ = (
    f"read are {', '.join(f.name for f in FORMATS)}, folders of those, OME-Zarr, Zarr and N5"
)


def opener_of(url: str, options: IngestOptions) -> Opener:
    """What opens the file at `url` and others of its format, with `options`."""
    return format_of(url).opener(options)


def format_of(url: str) -> Format:
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
        raise IngestError(f"{url} is of no format that is read; {FORMATS_READ}")
    return named[0]
