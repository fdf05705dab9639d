"""Rows of a CSV file of any size, in bounded memory, where single rows may be broken or endless.

A row ends with the line in which its quotes close. A broken row may leave them open; so a line
that is a whole row by itself begins anew, and lines that make no row together are taken one by one.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass

PIECE_BYTES = 2**20
"""Read at once."""
MAX_ROW_BYTES = 2**23
"""A longer row is skipped. JSON may take 25 times as much memory when it is read."""


@dataclass(frozen=True)
class CsvRow:
    """The fields of a row; or none, and what is wrong. The file's first row is number 1."""

    number: int
    fields: tuple[str, ...]
    fault: str = ""
    too_long: bool = False


def read_rows(read: Callable[[int], bytes]) -> Iterator[CsvRow]:
    """The rows of a file that `read(size)` reads, the header first.

    Each has as many fields as the header, or a fault. Empty lines are no rows. Never more than a
    row and a piece of the next are in memory.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_BYTES))
    number, columns, lines = 0, 0, _Lines()
    for line, starts in _lines(read):
        done: list[list[str] | str] = []
        if starts and lines.size and columns and _is_row(line, columns):
            done, lines = lines.taken(columns), _Lines()
        lines.add(line)
        if line.endswith(b"\n") and not lines.open:
            done, lines = done + lines.taken(columns), _Lines()
        for found in done:
            number += 1
            yield _row(number, found)
            columns = columns or (0 if isinstance(found, str) else len(found))
    for found in lines.taken(columns):
        number += 1
        yield _row(number, found)


_TOO_LONG = f"longer than {MAX_ROW_BYTES:,} bytes"


class _Lines:
    """The lines, or pieces of a long one, of a row that has not ended."""

    def __init__(self) -> None:
        self.size = 0
        self.open = False
        self._parts: list[bytes] = []

    def add(self, line: bytes) -> None:
        self.open ^= line.count(b'"') % 2 == 1
        self.size += len(line)
        if self.size > MAX_ROW_BYTES:
            self._parts.clear()
        else:
            self._parts.append(line)

    def taken(self, columns: int) -> list[list[str] | str]:
        """The row they make; or one for each line, where they make none."""
        if self.size > MAX_ROW_BYTES:
            return [_TOO_LONG]
        whole = b"".join(self._parts)
        if not whole.strip(b"\r\n"):
            return []
        found = _fields(whole, columns)
        apart = [line for line in whole.split(b"\n") if line.strip()]
        if isinstance(found, list) or len(apart) < 2:
            return [found]
        return [_fields(line, columns) for line in apart]


def _lines(read: Callable[[int], bytes]) -> Iterator[tuple[bytes, bool]]:
    """Lines with their ends, and whether it is the start of one: a long one comes in pieces."""
    rest, starts = b"", True
    while piece := read(PIECE_BYTES):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line + b"\n", starts
            starts = True
        if len(rest) >= PIECE_BYTES:
            yield rest, starts
            rest, starts = b"", False
    if rest:
        yield rest, starts


def _is_row(line: bytes, columns: int) -> bool:
    closed = line.endswith(b"\n") and line.count(b'"') % 2 == 0
    return closed and isinstance(_fields(line, columns), list)


def _fields(line: bytes, columns: int) -> list[str] | str:
    """The fields of a row of `columns` (any number if 0), or what is wrong with it."""
    try:
        found = next(csv.reader([line.decode("utf-8-sig")], strict=True))
    except UnicodeDecodeError:
        return "not UTF-8 text"
    except (csv.Error, StopIteration) as error:
        return f"not CSV: {error}"
    if columns and len(found) != columns:
        return f"{len(found)} fields instead of {columns}"
    return found


def _row(number: int, found: list[str] | str) -> CsvRow:
    if isinstance(found, str):
        return CsvRow(number, (), found, too_long=found == _TOO_LONG)
    return CsvRow(number, tuple(found))
