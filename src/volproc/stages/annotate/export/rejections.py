"""What could not be used of an export, and why: fixed words, counted, listed in a file."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from typing import Literal, get_args

from volproc.spreadsheet import neutral

RowFault = Literal[
    "broken row",
    "too long",
    "broken field",
    "no drawing task",
    "no usable mark",
    "another frame",
    "several subjects",
    "no slice",
    "unknown region",
    "no image size",
    "another image size",
    "another voxel size",
    "outside the volume",
]
"""Why a row cannot be used."""
LeftOut = Literal["another workflow", "another version", "another region", "drawn again"]
"""Why a row that is in order is not used: the options say so."""
Reason = RowFault | LeftOut
LEFT_OUT: frozenset[str] = frozenset(get_args(LeftOut))

MarkFault = Literal[
    "unknown tool",
    "broken mark",
    "broken coordinates",
    "far outside",
    "too few points",
    "no such frame",
    "another tool",
    "another frame",
]
"""Why a mark is not used; the last two because the options say so."""

LISTED = 100_000
"""Rows a list names; the others are counted in its last line."""
LONGEST_DETAIL = 200
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


class RejectionList:
    """Counts rows that are not used, by reason, and keeps a list of them as CSV.

    What `workflow`, `workflow_version` and `rois` leave out is counted only.
    """

    def __init__(self) -> None:
        self.reasons: Counter[Reason] = Counter()
        self._first: dict[Reason, str] = {}
        self._text = io.StringIO()
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow(("row", "classification_id", "reason", "detail"))
        self._listed = self._more = 0

    def add(self, found: Rejection) -> None:
        """Count one row."""
        self.reasons[found.reason] += 1
        self._first.setdefault(found.reason, f"row {found.row}: {found.detail[:LONGEST_DETAIL]}")
        if found.reason in LEFT_OUT and found.reason != "drawn again":
            return
        if self._listed == LISTED:
            self._more += 1
            return
        self._listed += 1
        texts = (found.classification, found.reason, found.detail)
        self._writer.writerow((found.row, *(neutral(_line(text)) for text in texts)))

    def said(self, reason: Reason) -> str:
        """A reason in a message: how many rows, and what is wrong with the first of them."""
        return f"{reason} ({self.reasons[reason]} rows; {self._first[reason]})"

    def csv(self) -> bytes:
        """The list."""
        last = f"and {self._more} more\n" if self._more else ""
        return (self._text.getvalue() + last).encode()


def _line(text: str) -> str:
    """One line, whatever it quotes, without codes that a terminal would obey."""
    shown = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(shown.split())[:LONGEST_DETAIL]
