"""The table of objects as arrays, and the histogram of their volumes."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import VolumeError
from volproc.spreadsheet import plain

Floats = npt.NDArray[np.float64]

NUMBERS = (
    "id",
    "volume_um3",
    *(f"{kind}_{axis}_nm" for kind in ("centroid", "start", "stop") for axis in "zyx"),
)
MAX_BINS = 24
LOGARITHMIC_FROM = 30.0
"""Volumes that differ by more than this factor are shown on a logarithmic axis."""


@dataclass(frozen=True)
class Objects:
    """Rows of the table; places and sizes in um, shape (n, 3) in the order z, y, x."""

    ids: npt.NDArray[np.int64]
    volume_um3: Floats
    centroid_um: Floats
    start_um: Floats
    stop_um: Floats
    touches_border: npt.NDArray[np.bool_]
    classes: tuple[str, ...] = ()
    """Of each object; none where the table does not say it."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def size_um(self) -> Floats:
        """Sides of the bounding boxes."""
        return self.stop_um - self.start_um

    @property
    def highest(self) -> int:
        """The largest id; 0 if there are no objects."""
        return int(self.ids.max(initial=0))

    def largest(self, count: int) -> npt.NDArray[np.intp]:
        """Rows of the `count` largest objects, in the table's order."""
        return np.sort(np.argsort(-self.volume_um3, kind="stable")[:count])


def read_objects(lines: Iterable[str], *, name: str) -> Objects:
    """Objects of a table written by `label`; VolumeError naming what is missing in `name`."""
    reader = csv.DictReader(lines)
    lacking = sorted({*NUMBERS, "touches_border"} - set(reader.fieldnames or ()))
    if lacking:
        raise VolumeError(
            f"{name} has no column {', '.join(lacking)}; the report needs the table that "
            "`volproc label` writes"
        )
    rows: list[list[float]] = []
    border: list[bool] = []
    classes: list[str] = []
    for row in reader:
        rows.append([_number(row, column, name) for column in NUMBERS])
        border.append(str(row["touches_border"]).lower() == "true")
        if "class" in row:
            classes.append(plain(row["class"]))
    values = np.array(rows, dtype=np.float64).reshape(-1, len(NUMBERS))
    um = values[:, 2:].reshape(-1, 3, 3) / 1000
    return Objects(
        ids=values[:, 0].astype(np.int64),
        volume_um3=values[:, 1],
        centroid_um=um[:, 0],
        start_um=um[:, 1],
        stop_um=um[:, 2],
        touches_border=np.array(border, dtype=bool),
        classes=tuple(classes),
    )


def _number(row: dict[str, Any], column: str, name: str) -> float:
    try:
        return float(row[column])
    except (TypeError, ValueError) as error:
        raise VolumeError(
            f"{name}: {column} = {row[column]!r} is not a number; run `volproc label` again"
        ) from error


@dataclass(frozen=True)
class Histogram:
    """`counts[i]` values lie between `edges[i]` and `edges[i + 1]`."""

    counts: tuple[int, ...]
    edges: tuple[float, ...]
    logarithmic: bool


SAME = 1e-6
"""Values that differ by less, in shares of them, are one: bins between them have no width."""


def histogram(values: Sequence[float] | Floats) -> Histogram | None:
    """Values in up to 24 bins of equal width, of their logarithms where they differ a lot.

    None for fewer than two values.
    """
    found = np.asarray(values, dtype=np.float64)
    found = found[found > 0]
    if len(found) < 2:
        return None
    low, high = float(found.min()), float(found.max())
    logarithmic = high / low > LOGARITHMIC_FROM
    bins = int(np.clip(2 * np.sqrt(len(found)), 6, MAX_BINS))
    if logarithmic:
        edges = np.logspace(log10(low), log10(high), bins + 1)
    else:
        edges = np.linspace(low, max(high, low * (1 + SAME)), bins + 1)
    edges[0], edges[-1] = min(low, edges[0]), max(high, edges[-1])  # rounding must lose none
    counts, _ = np.histogram(found, edges)
    return Histogram(tuple(counts.tolist()), tuple(edges.tolist()), logarithmic)
