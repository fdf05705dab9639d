"""What could not be used of an export, and why: fixed words, counted, listed in a file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, get_args

from volproc.spreadsheet import table_csv

RowFault = Literal[
    "broken row", "too long", "broken field", "no drawing task", "no usable mark", "another frame",
    "several subjects", "no slice", "unknown region", "no image size", "another image size",
    "another voxel size", "outside the volume",
]  # fmt: skip
"""Why a row cannot be used."""
LeftOut = Literal["another workflow", "another version", "another region", "drawn again"]
"""Why a usable row is not used: by the options."""
Reason = RowFault | LeftOut
LEFT_OUT: frozenset[str] = frozenset(get_args(LeftOut))

MarkFault = Literal[
    "unknown tool", "broken mark", "broken coordinates", "far outside", "too few points",
    "no such frame", "another tool", "another frame",
]  # fmt: skip
"""Why a mark is not used; the last two by the options."""

MAX_LISTED = 100_000
"""Rows in the list; the others are counted in its last line."""
MAX_DETAIL = 200
"""Characters of a detail."""


@dataclass(frozen=True)
class Rejection:
    """A row that is not used. Rows count as in a spreadsheet: the header is row 1.

    `detail` never holds what the row says of the volunteer. `marks` are those that were dropped.
    """

    row: int
    classification: str
    reason: Reason
    detail: str = ""
    marks: tuple[MarkFault, ...] = ()


class UnusableRow(Exception):
    """A row that cannot be used: what `Rejection` says of it."""

    def __init__(self, reason: Reason, detail: str = "", marks: tuple[MarkFault, ...] = ()) -> None:
        super().__init__(reason)
        self.reason, self.detail, self.marks = reason, detail, marks


@dataclass
class RejectionList:
    """Counts rows that are not used, by reason, and lists them as CSV.

    What `workflow`, `workflow_version` and `rois` leave out is counted only.
    """

    reasons: Counter[Reason] = field(default_factory=Counter)
    _first: dict[Reason, str] = field(default_factory=dict)
    _rows: list[tuple[object, ...]] = field(default_factory=list)
    _more: int = 0

    def add(self, found: Rejection) -> None:
        """Count one row."""
        self.reasons[found.reason] += 1
        self._first.setdefault(found.reason, f"row {found.row}: {found.detail[:MAX_DETAIL]}")
        if found.reason in LEFT_OUT and found.reason != "drawn again":
            return
        if len(self._rows) == MAX_LISTED:
            self._more += 1
            return
        texts = map(_line, (found.classification, found.reason, found.detail))
        self._rows.append((found.row, *texts))

    def described(self, reason: Reason) -> str:
        """A reason in a message: how many rows, and what is wrong with the first of them."""
        return f"{reason} ({self.reasons[reason]} rows; {self._first[reason]})"

    def csv(self) -> bytes:
        """The list."""
        header = ("row", "classification_id", "reason", "detail")
        last = f"and {self._more} more\n" if self._more else ""
        return (table_csv(header, self._rows, end="\n") + last).encode()


def _line(text: str) -> str:
    """One line, whatever it quotes, without codes that a terminal would obey."""
    shown = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(shown.split())[:MAX_DETAIL]
