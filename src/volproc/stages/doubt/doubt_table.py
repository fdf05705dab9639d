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
    said = zip(columns[PROBABILITY].tolist(), columns[REASON].tolist(), strict=True)
    known = dict(zip(map(str, columns["id"].tolist()), said, strict=True))
    reader = csv.DictReader(io.StringIO(read_file(url).decode(), newline=""))
    names = [name for name in reader.fieldnames or () if name not in (PROBABILITY, REASON)]
    rows = list(reader)
    if {row.get("id") for row in rows} != {*known}:
        raise VolumeError(
            f"{url} lists other objects than the labels have; run `volproc label` again, or move "
            "the table away"
        )
    write_pieces(url, _joined(names, rows, known))
    return True


def _joined(
    names: list[str], rows: list[dict[str, str]], known: dict[str, tuple[float, str]]
) -> Iterator[bytes]:
    yield (",".join((*names, PROBABILITY, REASON)) + "\n").encode()
    for row in rows:
        probability, reason = known[row["id"]]
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(
            (*(row[name] for name in names), f"{probability:.4f}", reason)
        )
        yield line.getvalue().encode()
