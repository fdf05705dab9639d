"""The order of a series: which number in the files' names counts, and which are missing."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from math import gcd
from pathlib import PurePosixPath

from volproc.errors import IngestError


@dataclass(frozen=True)
class Numbering:
    """Names in the order of their numbers, which rise in steps of `step` where none is missing.

    Of decimal numbers the last `digits` are behind the point: 0.05 is 5 with two digits.
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    step: int
    digits: int = 0

    def shown(self, number: int) -> str:
        """One of its numbers as the names have it."""
        return str(Decimal(number).scaleb(-self.digits))

    @property
    def missing(self) -> int:
        """How many numbers are missing between the first and the last."""
        return (self.numbers[-1] - self.numbers[0]) // self.step + 1 - len(self.numbers)

    @property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """Every gap: the index of the name behind it, and how many are missing there."""
        jumps = ((b - a) // self.step - 1 for a, b in pairwise(self.numbers))
        return tuple((i, jump) for i, jump in enumerate(jumps, start=1) if jump)


def number_names(names: Sequence[str]) -> Numbering:
    """Sort names by the last number that differs in all of them.

    Of several such numbers (a slice and a time, say) the one with fewest gaps counts.
    IngestError, one line, where there is none, or two are as good and sort differently.

    >>> number_names(["a_z10_8nm.tif", "a_z9_8nm.tif"]).names
    ('a_z9_8nm.tif', 'a_z10_8nm.tif')
    """
    whole = _columns(names, r"\d+")
    # slices are also named by their depth: z=0.5um.tif comes behind z=0.05um.tif
    decimals = [column for column in _columns(names, r"\d+(?:[.,]\d+)?") if column[0]]
    if not whole and not decimals:
        raise IngestError(_different(names))
    distinct = [one for one in (*decimals, *whole) if len(set(one[1])) == len(names)]
    if not distinct:
        raise IngestError(_doubled(names, [column for _, column in whole or decimals]))
    found = [_sorted_by(column, names, digits) for digits, column in reversed(distinct)]
    best = min(found, key=lambda numbering: numbering.missing)
    if any(one.missing == best.missing and one.names != best.names for one in found):
        raise IngestError(
            f"{names[0]} has {len(distinct)} numbers that could count its slices, and they give "
            "different orders; rename the files so that one number does"
        )
    return best


def filled_slices(numbering: Numbering, missing: str, *, where: str) -> tuple[int, ...]:
    """Which slices of the volume are in no file.

    IngestError if there are any and `missing` is "refuse", or if more are missing than there
    are: then the numbers are hardly those of slices.
    """
    if not numbering.gaps:
        return ()
    index, count = numbering.gaps[0]
    expected = numbering.numbers[index - 1] + numbering.step
    lost = (
        f"{where}: {count} slices are missing before {numbering.names[index]} (expected number "
        f"{numbering.shown(expected)})"
    )
    if missing == "refuse":
        raise IngestError(
            f'{lost}; add them, or set [ingest] missing = "repeat" (the slice before again) or '
            '"blank" (voxels of 0)'
        )
    if numbering.missing > len(numbering.names):
        raise IngestError(
            f"{lost}, {numbering.missing} in all, for {len(numbering.names)} files: these hardly "
            "are numbers of slices; rename the files, or name fewer of them (FOLDER/slice_1*.tif)"
        )
    filled: list[int] = []
    for index, count in numbering.gaps:
        start = index + len(filled)
        filled += range(start, start + count)
    return tuple(filled)


def _sorted_by(column: tuple[int, ...], names: Sequence[str], digits: int) -> Numbering:
    numbers, in_order = zip(*sorted(zip(column, names, strict=True)), strict=True)
    # Slices are also numbered by their depth (0, 25, 50 nm), or every tenth is kept; two files
    # alone do not show a step.
    steps = [b - a for a, b in pairwise(numbers)]
    return Numbering(in_order, numbers, gcd(*steps) if len(steps) > 1 else 1, digits)


def parts_of(name: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The text between the numbers of a name, without its ending, and the numbers.

    >>> parts_of("ROI_1_z0010.tif")
    (('roi_', '_z', ''), (1, 10))
    """
    parts = re.split(r"(\d+)", _stem(name))
    return tuple(parts[::2]), tuple(map(int, parts[1::2]))


def _stem(name: str) -> str:
    """A name as it is compared: macOS writes letters and their accents apart, others together."""
    return unicodedata.normalize("NFC", PurePosixPath(name).stem.lower())


def _columns(names: Sequence[str], number: str) -> list[tuple[int, tuple[int, ...]]]:
    """The first number of all names, the second, and so on; none if other text differs too.

    `number` is a pattern: 0.05 (or 0,05) may be one number. Each column has its digits behind the
    point, and its numbers as if there were no point.
    """
    split = [re.split(f"({number})", _stem(name)) for name in names]
    if any(parts[::2] != split[0][::2] for parts in split):
        return []
    columns = []
    for texts in zip(*(parts[1::2] for parts in split), strict=True):
        numbers = [Decimal(text.replace(",", ".")) for text in texts]
        digits = max(-int(one.as_tuple().exponent) for one in numbers)
        columns.append((digits, tuple(int(one.scaleb(digits)) for one in numbers)))
    return columns


def _different(names: Sequence[str]) -> str:
    bare = next((name for name in names if not parts_of(name)[1]), None)
    if bare:
        return f"{bare} has no number in its name; slices are sorted by numbers"
    words = parts_of(names[0])[0]
    other = next(name for name in names if parts_of(name)[0] != words)
    return (
        f"{names[0]} and {other} differ in more than numbers; keep one series in a folder, "
        "or name its files (FOLDER/slice_*.tif)"
    )


def _doubled(names: Sequence[str], columns: Sequence[tuple[int, ...]]) -> str:
    varying = [column for column in columns if len(set(column)) > 1]
    column = (varying or columns)[-1]
    number = Counter(column).most_common(1)[0][0]
    first, second = [name for name, n in zip(names, column, strict=True) if n == number][:2]
    if len(set(zip(*varying, strict=True))) == len(names):
        return (
            f"{len(varying)} numbers differ in the names, and none of them counts all slices "
            f"({first} and {second}): several series, tiles or channels? name the files of one, "
            "such as FOLDER/tile1_*.tif"
        )
    return f"two slices of number {number}: {first} and {second}; keep one of them"
