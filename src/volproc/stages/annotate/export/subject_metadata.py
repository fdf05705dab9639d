"""What is known of subjects: their metadata, and manifest.csv where they state too little."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, TypeVar

from volproc.errors import AnnotateError, VolprocError
from volproc.grid.box import Box, Shape, each
from volproc.location import filesystem_of
from volproc.retry import patient
from volproc.spreadsheet import plain
from volproc.volume.metadata import PositionNm

CORNER_KEYS = ("corner_z_nm", "corner_y_nm", "corner_x_nm")
SHAPE_KEYS = ("roi_depth", "roi_height", "roi_width")
BOX_KEYS = ("roi_z", "roi_y", "roi_x", *SHAPE_KEYS)
HIDDEN = ("", "#", "//", "!")
"""What keys begin with that volunteers shall not see."""
MAX_CHARACTERS = 1000
"""Of a value that are looked at."""
MAX_NUMBER = 1e12

T = TypeVar("T")


@dataclass(frozen=True)
class Manifest:
    """What a manifest.csv adds: metadata of subjects by their name, regions by theirs."""

    subjects: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    regions: Mapping[str, Box] = field(default_factory=dict)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Whatever is raised while a table is read becomes an AnnotateError that names it."""
    try:
        yield
    except VolprocError:
        raise
    except Exception as error:  # file systems raise errors of their libraries, not OSError alone
        cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise AnnotateError(f"cannot read the {what}: {cause.splitlines()[0]}") from error


@patient
def read_manifest(url: str) -> Manifest:
    """A table with the columns roi and roi_z to roi_width, and further ones of subjects.

    AnnotateError if it is no such table.
    """
    with reading(f"manifest {url}"):
        filesystem, path = filesystem_of(url)
        text = filesystem.cat_file(path).decode("utf-8-sig")
        rows = list(csv.DictReader(StringIO(text, newline="")))
    needed = ("roi", *BOX_KEYS)
    missing = [key for key in needed if not rows or key not in rows[0]]
    if missing:
        raise AnnotateError(
            f"{url} lacks {', '.join(missing)}; give the manifest.csv of `volproc subjects`, or a "
            f"table of regions with the columns {', '.join(needed)}"
        )
    cells = [{key: plain(text) for key, text in row.items() if key and text} for row in rows]
    regions: dict[str, Box] = {}
    for number, row in enumerate(cells, start=2):
        box = box_of(row)
        if box is None or regions.setdefault(row.get("roi", ""), box) != box:
            raise AnnotateError(
                f"{url}, row {number}: a region needs whole numbers in {', '.join(BOX_KEYS)}, the "
                "same in all of its rows"
            )
    return Manifest({row["subject"]: row for row in cells if "subject" in row}, regions)


def text_of(known: Mapping[str, Any], key: str) -> str | None:
    """The value of a key, hidden or not, if it is a text or a number; None where there is none."""
    for prefix in HIDDEN:
        value = known.get(prefix + key)
        text = str(value)[:MAX_CHARACTERS].strip() if type(value) in (str, int, float) else ""
        if text:
            return text
    return None


def whole_number(text: str | None) -> int | None:
    """A whole number from 0 of up to 9 digits; None for anything else."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else None


def number_of(text: str | None) -> float | None:
    """A number; None for anything else."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if abs(number) < MAX_NUMBER else None


def first_positive(known: Mapping[str, Any], keys: Iterable[str]) -> float | None:
    """The first positive number among the values of some keys."""
    numbers = (number_of(text_of(known, key)) for key in keys)
    return next((number for number in numbers if number and number > 0), None)


def box_of(known: Mapping[str, Any]) -> Box | None:
    """Where the region of a subject lies in the volume; None if its metadata do not say."""
    shape = shape_of(known)
    start = _three(whole_number(text_of(known, key)) for key in BOX_KEYS[:3])
    return Box(start, each(lambda a, n: a + n, start, shape)) if start and shape else None


def shape_of(known: Mapping[str, Any]) -> Shape | None:
    """The voxels of the region of a subject; None if its metadata do not say."""
    return _three(whole_number(text_of(known, key)) for key in SHAPE_KEYS)


def corner_of(known: Mapping[str, Any]) -> PositionNm | None:
    """Where the region of a subject begins, in nm; None if its metadata do not say."""
    return _three(number_of(text_of(known, key)) for key in CORNER_KEYS)


def _three(values: Iterable[T | None]) -> tuple[T, T, T] | None:
    z, y, x = values
    return None if z is None or y is None or x is None else (z, y, x)
