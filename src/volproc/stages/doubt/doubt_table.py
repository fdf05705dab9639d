"""The tables of doubt: its own, with all features, and two columns of the table of objects."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import numpy as np

from volproc.model.doubt_model import Verdict
from volproc.stages.doubt.object_features import REASONS, Features
from volproc.stages.objects.components import Ids
from volproc.stages.objects.table import Columns, to_csv
from volproc.volume.access import exists
from volproc.volume.file_io import read_file, write_pieces

PROBABILITY, REASON = "probability_right", "reason"
NOTHING = "nothing stands out"
LEAST_BADNESS = 0.25
"""Of the score: what takes less is no reason."""
ROWS_AT_ONCE = 100_000


def reasons_of(verdict: Verdict) -> list[str]:
    """Of each object what takes most from its score, in words."""
    if not len(verdict.badness):
        return []
    worst = verdict.badness.argmax(axis=1)
    most = verdict.badness.max(axis=1)
    words = (REASONS[verdict.names[n]] for n in worst)
    return [
        word if bad >= LEAST_BADNESS else NOTHING for word, bad in zip(words, most, strict=True)
    ]


def columns_of(ids: Ids, verdict: Verdict, features: Features) -> Columns:
    """The table of doubt, a row for each object."""
    return {
        "id": ids,
        PROBABILITY: verdict.probability,
        REASON: np.array(reasons_of(verdict), dtype=object),
        **{name: features.values[:, n] for n, name in enumerate(features.names)},
    }


def write_doubt_table(columns: Columns, url: str) -> None:
    """Write it as CSV."""
    write_pieces(url, _pieces(columns))


def _pieces(columns: Columns) -> Iterator[bytes]:
    yield (",".join(columns) + "\n").encode()
    for n in range(0, len(columns["id"]), ROWS_AT_ONCE):
        yield to_csv({k: v[n : n + ROWS_AT_ONCE] for k, v in columns.items()}).encode()


def add_to_objects(columns: Columns, url: str) -> str:
    """Put probability and reason behind the other columns of the table of objects at `url`.

    In place of those that an earlier doubt put there. What is to be said of it: a table that lists
    other objects, as after an edit of the labels, is left alone.
    """
    if not exists(url):
        return ""
    reader = csv.reader(io.StringIO(read_file(url).decode(), newline=""))
    lines = _joined(reader, columns)
    if lines is None:
        return f"{url} lists other objects than the labels have, so it is left as it is"
    write_pieces(url, iter(lines))
    return ""


def _joined(reader: Iterator[list[str]], columns: Columns) -> list[bytes] | None:
    """The table's rows, with what is known of each object at its end; None for other objects."""
    header = next(reader, [])
    kept = [n for n, name in enumerate(header) if name not in (PROBABILITY, REASON)]
    rows = {_id_of(row, header): [row[k] for k in kept] for row in reader}
    said = zip(columns["id"], columns[PROBABILITY], columns[REASON], strict=True)
    known = {int(number): (f"{share:.4f}", reason) for number, share, reason in said}
    if rows.keys() != known.keys():
        return None
    first = [*(header[k] for k in kept), PROBABILITY, REASON]
    return [_line(first), *(_line([*row, *known[number]]) for number, row in rows.items())]


def _id_of(row: list[str], header: list[str]) -> int:
    """0, which no object has, where the row has none."""
    named = dict(zip(header, row, strict=False))
    return int(named["id"]) if named.get("id", "").isdecimal() else 0


def _line(cells: list[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode()
