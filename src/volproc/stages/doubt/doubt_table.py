"""The tables of doubt: its own, with all features, and two columns of the table of objects."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import numpy as np

from volproc.errors import VolumeError
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


def add_to_objects(columns: Columns, url: str) -> bool:
    """Put probability and reason behind the other columns of the table of objects at `url`.

    In place of those that an earlier doubt put there. Whether there is such a table; VolumeError
    if it lists other objects.
    """
    if not exists(url):
        return False
    reader = csv.reader(io.StringIO(read_file(url).decode(), newline=""))
    write_pieces(url, _joined(reader, columns, url))
    return True


def _joined(reader: Iterator[list[str]], columns: Columns, url: str) -> Iterator[bytes]:
    """The table row by row, with what is known of each object at its end."""
    header = next(reader, [])
    kept = [n for n, name in enumerate(header) if name not in (PROBABILITY, REASON)]
    yield _line([*(header[n] for n in kept), PROBABILITY, REASON])
    ids, seen = columns["id"], 0
    for row in reader:
        n = int(np.searchsorted(ids, _id_of(row, header)))
        if n == len(ids) or ids[n] != _id_of(row, header):
            raise _other_objects(url)
        seen += 1
        said = f"{columns[PROBABILITY][n]:.4f}", columns[REASON][n]
        yield _line([*(row[k] for k in kept), *said])
    if seen != len(ids):
        raise _other_objects(url)


def _id_of(row: list[str], header: list[str]) -> int:
    """0, which no object has, where the row has none."""
    named = dict(zip(header, row, strict=False))
    return int(named["id"]) if named.get("id", "").isdecimal() else 0


def _line(cells: list[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode()


def _other_objects(url: str) -> VolumeError:
    return VolumeError(
        f"{url} lists other objects than the labels have; run `volproc label` again, or move the "
        "table away"
    )
