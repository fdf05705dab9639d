"""Text of others in tables of ours: nothing in it runs when a spreadsheet opens the table."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from io import StringIO

_RUNS = re.compile(r"'*\s*[=+\-@＝＋－＠\t\r\n]")
"""What a spreadsheet takes for a formula, or would once the marks before it are gone."""
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")


def neutral(text: str) -> str:
    """`text` for a cell: behind a mark where a spreadsheet would run it. Numbers stay as they are.

    >>> neutral("=HYPERLINK(1)"), neutral("-3.5"), neutral("J. Bloggs")
    ("'=HYPERLINK(1)", '-3.5', 'J. Bloggs')
    """
    return f"'{text}" if _RUNS.match(text) and not _NUMBER.fullmatch(text) else text


def plain(cell: str) -> str:
    """The text that `neutral` made `cell` of.

    >>> plain("'=HYPERLINK(1)")
    '=HYPERLINK(1)'
    """
    return cell[1:] if cell[:1] == "'" and _RUNS.match(cell[1:]) else cell


def table_csv(header: Sequence[str], rows: Iterable[Sequence[object]], *, end: str = "\r\n") -> str:
    """A table as CSV (RFC 4180), every text in it `neutral`; without a header if that is empty.

    >>> table_csv(["name", "nm"], [["=1", 2.5], [None, 3]], end="\\n")
    "name,nm\\n'=1,2.5\\n,3\\n"
    """
    file = StringIO()
    writer = csv.writer(file, lineterminator=end)
    writer.writerows([header] if header else [])
    writer.writerows([neutral(v) if isinstance(v, str) else v for v in row] for row in rows)
    return file.getvalue()
