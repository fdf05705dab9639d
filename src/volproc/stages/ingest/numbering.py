"""The order of a series: which number in the files' names counts, and which are missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import gcd
from pathlib import PurePosixPath

from volproc.errors import IngestError


@dataclass(frozen=True)
class Numbering:
    """Names in the order of their numbers, which rise in steps of `step` where none is missing."""

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    step: int

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
    columns = _columns(names)
    distinct = [column for column in columns if len(set(column)) == len(names)]
    if not distinct:
        raise IngestError(_doubled(names, columns))
    found = [_sorted_by(column, names) for column in reversed(distinct)]
    best = min(found, key=lambda numbering: numbering.missing)
    if any(one.missing == best.missing and one.names != best.names for one in found):
        raise IngestError(
            f"{names[0]} has {len(distinct)} numbers that could count its slices, and they give "
            "different orders; rename the files so that one number does"
        )
    return best


def filled_slices(numbering: Numbering, missing: str, *, where: str) -> tuple[int, ...]:
    """Which slices of the volume no file holds.

    IngestError if there are any and `missing` is "refuse", or if more are missing than there
    are: then the numbers are hardly those of slices.
    """
    if not numbering.gaps:
        return ()
    index, count = numbering.gaps[0]
    expected = numbering.numbers[index - 1] + numbering.step
    lost = (
        f"{where}: {count} slices are missing before {numbering.names[index]} (expected number "
        f"{expected})"
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


def _sorted_by(column: tuple[int, ...], names: Sequence[str]) -> Numbering:
    numbers, in_order = zip(*sorted(zip(column, names, strict=True)), strict=True)
    # Slices are also numbered by their depth (0, 25, 50 nm), or every tenth is kept; two files
    # alone do not show a step.
    steps = [b - a for a, b in pairwise(numbers)]
    return Numbering(in_order, numbers, gcd(*steps) if len(steps) > 1 else 1)


def _columns(names: Sequence[str]) -> list[tuple[int, ...]]:
    """The first number of all names, the second, and so on."""
    parts = [re.split(r"(\d+)", PurePosixPath(name).stem.lower()) for name in names]
    for name, part in zip(names, parts, strict=True):
        if len(part) == 1:
            raise IngestError(f"{name} has no number in its name; slices are sorted by numbers")
        if part[::2] != parts[0][::2]:
            raise IngestError(
                f"{names[0]} and {name} differ in more than numbers; keep one series in a folder, "
                "or name its files (FOLDER/slice_*.tif)"
            )
    return list(zip(*([int(number) for number in part[1::2]] for part in parts), strict=True))


def _doubled(names: Sequence[str], columns: Sequence[tuple[int, ...]]) -> str:
    varying = [column for column in columns if len(set(column)) > 1]
    column = (varying or columns)[-1]
    number = Counter(column).most_common(1)[0][0]
    first, second = [name for name, n in zip(names, column, strict=True) if n == number][:2]
    return f"two slices of number {number}: {first} and {second}; keep one of them"
