"""Several runs on one page: what each found, and how sizes and scores drift from run to run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from math import log10
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

from volproc.errors import VolumeError
from volproc.location import name_of, path_or_url
from volproc.stages import webpage
from volproc.stages.charts import Axis
from volproc.stages.report.page_twin import FORMAT, to_json, twin_of
from volproc.stages.report.run_state import UNFINISHED
from volproc.volume.access import relative_url
from volproc.volume.file_io import read_file, write_file

RUNS_FORMAT = "volproc-reports-1"
WIDTH = 260.0
"""Of a strip, in its own units."""
OPTIONAL = (
    *("sphericity", "agreement", "expected_precision", "expected_recall"),
    *("dice", "masd_nm"),
)
"""Columns that are left out where no run has them."""


@dataclass(frozen=True)
class Strip:
    """Where the quantiles of a distribution lie on the axis that all runs share."""

    low: float
    quarter: float
    middle: float
    three_quarters: float
    high: float


@dataclass(frozen=True)
class RunRow:
    """One run: numbers of its report, None where it has none.

    `folder` is the name of the run's; `drift` is the middle volume over the median of those of all
    runs.
    """

    name: str
    folder: str
    href: str
    left: tuple[str, ...]
    """Stages that it has not finished."""
    objects: int | None
    volume_um3: float | None
    share_of_field: float | None
    volumes: tuple[float, ...] = ()
    """Quantiles: 5, 25, 50, 75 and 95 percent."""
    drift: float | None = None
    sphericity: float | None = None
    agreement: float | None = None
    """Of the voxels that some axis calls foreground, the share that all do."""
    expected_precision: float | None = None
    expected_recall: float | None = None
    dice: float | None = None
    precision: float | None = None
    recall: float | None = None
    masd_nm: float | None = None
    seconds: float = 0.0
    model: str = ""


def read_twin(url: str) -> dict[str, Any]:
    """The twin of a run's report; VolumeError for something else."""
    try:
        found: dict[str, Any] = json.loads(read_file(url))
        if found["format"] == FORMAT:
            return found
    except (ValueError, KeyError, TypeError):
        pass
    raise VolumeError(f"{url} is not the twin of a report; run `volproc report` again")


def write_runs(pages: Sequence[str], *, out: str, title: str = "") -> Path | str:
    """The page of some runs at `out`, from the twins of their reports, and its own twin beside it.

    Returns its path or URL. VolumeError where a twin is none.
    """
    title = title or f"{len(pages)} runs"
    rows = rows_of({page: read_twin(twin_of(page)) for page in pages}, out=out)
    write_file(twin_of(out), to_json(twin_of_runs(rows, title=title)).encode())
    write_file(out, render_runs(rows, title=title).encode())
    return path_or_url(out)


def rows_of(twins: Mapping[str, Mapping[str, Any]], *, out: str) -> tuple[RunRow, ...]:
    """A row for each run; `twins` by the place of its page, seen from the page at `out`."""
    rows = [_row(found, page, out=out) for page, found in twins.items()]
    middles = [row.volumes[2] for row in rows if row.volumes]
    usual = median(middles) if middles else 0.0
    drifts = [row.volumes[2] / usual if row.volumes and usual else None for row in rows]
    return tuple(replace(row, drift=drift) for row, drift in zip(rows, drifts, strict=True))


def _seen_from(page: str, out: str) -> str:
    folder = out.rpartition("/")[0] or "."
    return quote(relative_url(page, folder), safe="/:.")


def _row(found: Mapping[str, Any], page: str, *, out: str) -> RunRow:
    figures, objects = found.get("figures") or {}, found.get("objects") or {}
    volumes = objects.get("volumes") or {}
    volume, field = figures.get("volume_um3"), figures.get("field_um")
    doubt, score = found.get("doubt") or {}, _score(found)
    agreements = [one["votes"] for one in found.get("agreement", {}).values()]
    surfaces: Mapping[str, Any] = next(iter((score.get("surfaces") or {}).values()), {})
    return RunRow(
        name=found["title"],
        folder=name_of(page.rpartition("/")[0]),
        href=_seen_from(page, out),
        left=tuple(one["name"] for one in found["state"]["stages"] if one["state"] in UNFINISHED),
        objects=figures.get("objects"),
        volume_um3=volume,
        share_of_field=volume / _product(field) if volume is not None and field else None,
        volumes=tuple(volumes.get("quantiles", ())),
        sphericity=_middle(objects.get("sphericities")),
        agreement=min((_all_axes(one) for one in agreements), default=None),
        expected_precision=(doubt.get("precision") or {}).get("value"),
        expected_recall=(doubt.get("recall") or {}).get("value"),
        **{name: score.get(name) for name in ("dice", "precision", "recall")},
        masd_nm=surfaces.get("masd_nm"),
        seconds=figures.get("seconds", 0.0),
        model=figures.get("model", ""),
    )


def _all_axes(votes: Mapping[str, float]) -> float:
    """The share of voxels that all axes call foreground."""
    return votes[max(votes, key=int)]


def _score(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Scores of what was chosen, which stands first."""
    listed = (found.get("scores") or {}).get("scores") or [{}]
    first: Mapping[str, Any] = listed[0]
    return first


def _middle(found: Mapping[str, Any] | None) -> float | None:
    return found["quantiles"][2] if found else None


def _product(values: Sequence[float]) -> float:
    z, y, x = values
    return z * y * x


def strips(rows: Sequence[RunRow]) -> tuple[tuple[Strip | None, ...], tuple[float, float]]:
    """A strip for each run on a logarithmic axis of volume, and its ends in µm³."""
    known = [row.volumes for row in rows if row.volumes and row.volumes[0] > 0]
    if not known:
        return (None,) * len(rows), (0.0, 0.0)
    low, high = min(one[0] for one in known), max(one[-1] for one in known)
    axis = Axis(log10(low), log10(high), 2.0, WIDTH - 2)
    placed = tuple(
        Strip(*(axis.at(log10(value)) for value in row.volumes)) if row.volumes in known else None
        for row in rows
    )
    return placed, (low, high)


def render_runs(rows: Sequence[RunRow], *, title: str) -> str:
    """The page as HTML, complete in itself."""
    placed, ends = strips(rows)
    return webpage.render(
        "volproc.stages.report",
        "runs_page.html.j2",
        title=title,
        rows=list(zip(rows, placed, strict=True)),
        ends=ends,
        width=WIDTH,
        has={name: any(getattr(row, name) is not None for row in rows) for name in OPTIONAL},
        made=f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
    )


def twin_of_runs(rows: Sequence[RunRow], *, title: str) -> dict[str, Any]:
    """The same numbers for programs."""
    return {"format": RUNS_FORMAT, "title": title, "runs": [asdict(row) for row in rows]}
