"""The table of objects as arrays, which of them are listed, and how their values are spread."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log10
from typing import Any

import numpy as np
import numpy.typing as npt

from volproc.errors import VolumeError
from volproc.spreadsheet import plain

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

NUMBERS = (
    "id",
    "volume_um3",
    *(f"{kind}_{axis}_nm" for kind in ("centroid", "start", "stop") for axis in "zyx"),
)
MAX_BINS = 24
QUANTILES = (5, 25, 50, 75, 95)
ADDED = {
    "probability_right": "probability_right",
    "reason": "reasons",
    "sphericity": "sphericity",
}
"""Columns that stages after `label` may add, and what they are called here."""
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
    probability_right: Floats | None = None
    """How likely each object is right, 0 to 1; None where nobody said it."""
    reasons: tuple[str, ...] = ()
    """What speaks most against each; none where nobody said it."""
    sphericity: Floats | None = None

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

    def listed(self, count: int) -> Rows:
        """Rows of `count` objects: half are the most doubtful, first, the others the largest.

        Where nothing is known of doubt they are the largest, in the table's order.
        """
        doubtful = self.doubtful(len(self) if count >= len(self) else count // 2)
        others = np.setdiff1d(np.argsort(-self.volume_um3, kind="stable"), doubtful, True)
        by_size = others[np.argsort(-self.volume_um3[others], kind="stable")]
        return np.concatenate([doubtful, np.sort(by_size[: count - len(doubtful)])])

    def doubtful(self, count: int) -> Rows:
        """Rows of the `count` least likely objects, the least likely first; none if unknown."""
        if self.probability_right is None:
            return np.zeros(0, dtype=np.intp)
        return np.argsort(self.probability_right, kind="stable")[:count]

    def rows_of(self, ids: Sequence[int]) -> Rows:
        """Rows of the objects with these ids, in their order, without those that are not there."""
        row_of = {number: row for row, number in enumerate(self.ids.tolist())}
        return np.array([row_of[one] for one in ids if one in row_of], dtype=np.intp)


def read_objects(lines: Iterable[str], *, name: str) -> Objects:
    """Objects of a table written by `label`; VolumeError naming what is missing in `name`.

    Of what other stages added it takes the doubt and the sphericity.
    """
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
    added: dict[str, list[Any]] = {name: [] for name in ADDED if name in (reader.fieldnames or ())}
    for row in reader:
        for column, found in added.items():
            found.append(_added(row, column, name))
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
        **_columns(added),
    )


def with_measured(objects: Objects, lines: Iterable[str], *, name: str) -> Objects:
    """The objects with what a further table of them adds; VolumeError as for `read_objects`."""
    reader = csv.DictReader(lines)
    fields = reader.fieldnames or ()
    names = [c for c, key in ADDED.items() if c in fields and not _is_known(objects, key)]
    found = {
        int(_number(row, "id", name)): [_added(row, column, name) for column in names]
        for row in reader
    }
    nothing = ["" if column == "reason" else np.nan for column in names]
    rows = [found.get(number, nothing) for number in objects.ids.tolist()]
    added = {column: [row[n] for row in rows] for n, column in enumerate(names)}
    return replace(objects, **_columns(added))


def _is_known(objects: Objects, key: str) -> bool:
    found = getattr(objects, key)
    return found is not None and len(found) > 0


def _columns(added: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Columns as `Objects` has them."""
    return {
        ADDED[name]: tuple(found) if name == "reason" else np.array(found, dtype=np.float64)
        for name, found in added.items()
    }


def _added(row: dict[str, Any], column: str, name: str) -> float | str:
    return plain(row[column] or "") if column == "reason" else _number(row, column, name)


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


@dataclass(frozen=True)
class Distribution:
    """How values are spread; `quantiles` are those of QUANTILES, in percent."""

    count: int
    mean: float
    quantiles: tuple[float, ...]
    histogram: Histogram | None


def distribution(values: Floats | None) -> Distribution | None:
    """Of the finite ones of `values`; None if there are none."""
    finite = values[np.isfinite(values)] if values is not None else np.zeros(0)
    if not len(finite):
        return None
    quantiles = tuple(np.percentile(finite, QUANTILES).tolist())
    return Distribution(len(finite), float(finite.mean()), quantiles, histogram(finite))


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
