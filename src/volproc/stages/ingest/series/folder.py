"""What a folder contains, and which of it became slices: nothing is left out silently."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NoReturn

from volproc.errors import IngestError, VolprocError
from volproc.location import entries, name_of
from volproc.stages.ingest.series.slice_numbers import parts_of
from volproc.stages.ingest.voxel_source import Stamp, stamp_of

NAMED = 3
"""So many names are in a message; the others are counted."""

_UNFINISHED = "part partial filepart crdownload download tmp temp aria2 incomplete !ut bc! !sync"
_PACKED = "gz bz2 xz zst lz4 z zip 7z tgz"
_OTHER_IMAGES = "bmp gif jp2 j2k webp pgm pnm tga"
_SUSPECT = {f".{one}" for one in f"{_UNFINISHED} {_PACKED} {_OTHER_IMAGES}".split()}
"""Endings instead of the series' own that make a slice of what would continue it."""


@dataclass(frozen=True)
class Folder:
    """What is in a folder: `files` by URL, and the names of the rest. Links count as their targets.

    `lost` are links to nothing, `hidden` names begin with a dot.
    """

    url: str
    files: dict[str, Stamp]
    folders: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    def __str__(self) -> str:
        rest = {"folders": self.folders, "links to nothing": self.lost}
        counted = (f"{what}: {few(names)}" for what, names in rest.items() if names)
        return "; ".join([f"{len(self.files)} files", *counted])


def list_folder(url: str) -> Folder:
    """What is in the folder at `url`; web servers list no sizes and dates: stamps are names."""
    files: dict[str, Stamp] = {}
    others: dict[str, list[str]] = {"folders": [], "hidden": [], "lost": []}
    for inner, facts in entries(url):
        name, kind = name_of(inner), facts["type"]
        if name.startswith("."):
            others["hidden"].append(name)
        elif kind == "file":
            files[inner] = stamp_of(inner, facts)
        elif kind in ("directory", "lost"):
            others["folders" if kind == "directory" else "lost"].append(name)
    return Folder(url, files, **{key: tuple(names) for key, names in others.items()})


@dataclass(frozen=True)
class Taken:
    """How many files of a folder became slices, and which did not, by what they are."""

    taken: int
    files: int
    left_out: tuple[tuple[str, int], ...]

    def line(self, slices: int, step: str) -> str:
        """The same for people, with the slices that came of it."""
        found = f"{slices} slices" + ("" if slices == self.taken else f" in {self.taken}")
        rest = ", ".join(f"{count} {what}" for what, count in self.left_out)
        by = f", numbered in steps of {step}" if step != "1" else ""
        return f"{found} of {self.files} files{by}" + (f"; left out: {rest}" if rest else "")


def taken_of(folder: Folder, taken: Collection[str], suffixes: tuple[str, ...]) -> Taken:
    """What became of a folder of which the URLs in `taken` are slices."""
    rest = [name_of(url) for url in folder.files if url not in taken]
    own = sum(name.lower().endswith(suffixes) for name in rest)
    by_ending: dict[str, list[str]] = {}
    for name in rest:
        if not name.lower().endswith(suffixes):
            ending = PurePosixPath(name).suffix or "without ending"
            by_ending.setdefault(ending, []).append(name)
    counted = [
        ("hidden", len(folder.hidden)),
        *((f"{what} ({few(names)})", len(names)) for what, names in sorted(by_ending.items())),
        ("other names", own),
        (f"links to nothing ({few(folder.lost)})", len(folder.lost)),
        (f"folders ({few(folder.folders)})", len(folder.folders)),
    ]
    count = len(folder.files) + len(folder.hidden) + len(folder.lost)
    return Taken(len(taken), count, tuple((what, n) for what, n in counted if n))


def refuse_missing_parts(folder: Folder, names: Sequence[str], suffixes: tuple[str, ...]) -> None:
    """IngestError for what looks like slices of the series `names` that would be left out.

    Links to nothing; files half transferred, packed, or of another ending; and subfolders whose
    files go on where the series ends. Naming the files, as a pattern, says that they are all.
    """
    lost = [name for name in folder.lost if name.lower().endswith(suffixes)]
    if lost:
        _refuse(folder, names, "links to nothing", lost, "fetch their files (datalad get)")
    numbers = {parts_of(name)[1] for name in names}
    words = parts_of(names[0])[0]

    def continuing(found: Iterable[tuple[str, str]]) -> list[str]:
        """Of names, with what each would be called as a slice: those that the series lacks."""
        parsed = ((name, parts_of(would_be)) for name, would_be in found)
        return [name for name, (text, n) in parsed if text == words and n and n not in numbers]

    others = {*map(name_of, folder.files), *folder.hidden} - set(names)
    parts = continuing(_finished(sorted(others), suffixes))
    if parts:
        way_out = "wait for their transfer, or unpack or convert them"
        _refuse(folder, names, "what looks like more of them", parts, way_out)
    for inner in folder.folders:
        below: list[str] = []
        with suppress(OSError, VolprocError):  # closed to us
            below = [name_of(url) for url in list_folder(f"{folder.url}/{inner}").files]
        rest = continuing((n, n) for n in below if n.lower().endswith(suffixes))
        if rest:
            what = f"a folder {inner} that goes on"
            _refuse(folder, names, what, rest, "put all slices into one folder")


def _refuse(
    folder: Folder, names: Sequence[str], what: str, found: Sequence[str], way_out: str
) -> NoReturn:
    raise IngestError(
        f"{folder.url} holds {len(names)} slices, and {what}: {few(found)}; {way_out}, or name "
        f"the files to take ({folder.url}/{pattern_of(names[0])})"
    )


def _finished(names: Iterable[str], suffixes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Names of files, and the name that each would have in the series: s_1.tif for s_1.tif.part."""
    ends = "|".join(map(re.escape, sorted(suffixes, key=len, reverse=True)))
    for name in names:
        if name.startswith("._"):  # what macOS writes for every file on a foreign disk
            continue
        bare = name.lstrip(".")
        longer = re.match(rf"(.*(?:{ends}))\W", bare, re.IGNORECASE)
        if longer:
            yield name, longer[1]
        elif PurePosixPath(bare).suffix.lower() in _SUSPECT:
            yield name, PurePosixPath(bare).stem + suffixes[0]


def pattern_of(name: str) -> str:
    """A pattern for the series of a file.

    >>> pattern_of("ROI_1_z0010.tif")
    'ROI_*_z*.tif'
    """
    path = PurePosixPath(name)
    return re.sub(r"\d+", "*", path.stem) + path.suffix


def few(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
