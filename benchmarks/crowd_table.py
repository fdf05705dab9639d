"""Tables of crowd_methods.py: from scores of single slices to a row per crowd, size and method."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from crowd_figure import needed

from volproc.stages.annotate.quality.slice_scores import SliceScores, means_of

SCORES = tuple(field.name for field in fields(SliceScores))
BETTER = {"dice": max, "iou": max, "masd_nm": min, "nsd_50": max, "nsd_100": max, "found": max}
FORMS = {
    "dice": "{:.4f}",
    "iou": "{:.4f}",
    "masd_nm": "{:.1f}",
    "nsd_50": "{:.3f}",
    "nsd_100": "{:.3f}",
    "found": "{:.3f}",
    "made_up": "{}",
}


def summary(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per crowd, size and method: means over slices."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["crowd"], row["volunteers"], row["method"]].append(row)
    out = []
    for (crowd, n, method), group in sorted(groups.items(), key=lambda item: item[0][:2]):
        scores = [SliceScores(**{"false": False} | _scores(row)) for row in group]
        seconds = float(np.mean([row["seconds"] for row in group]))
        about = {"crowd": crowd, "volunteers": n, "method": method}
        out.append(about | asdict(means_of(scores)) | {"seconds": seconds})
    return out


def _scores(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in SCORES if name in row}


def markdown(table: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The table's lines; the best of each crowd and size in bold."""
    yield (
        "| crowd | volunteers | method | Dice | IoU | MASD nm | NSD 50 nm | NSD 100 nm | "
        "fragments found | made up | drawn where nothing is | CPU s a slice |"
    )
    yield "|---" * 12 + "|"
    best: dict[tuple[str, int, str], float] = {}
    for row in table:
        for name, better in BETTER.items():
            key = (row["crowd"], row["volunteers"], name)
            best[key] = better(best.get(key, row[name]), row[name])
    for row in table:
        cells = [row["crowd"], str(row["volunteers"]), row["method"]]
        for name, form in FORMS.items():
            text = form.format(row[name])
            top = best.get((row["crowd"], row["volunteers"], name))
            cells.append(f"**{text}**" if text == (top is not None and form.format(top)) else text)
        cells += [f"{row['false']} of {row['empty']}", f"{row['seconds']:.3f}"]
        yield f"| {' | '.join(cells)} |"


def volunteers_needed(table: Sequence[dict[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """Per crowd: n of cria-2021, and how many cria needs for the same MASD."""
    curves: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for row in table:
        curves[row["crowd"], row["method"]][row["volunteers"]] = row["masd_nm"]
    found = {}
    for (crowd, method), curve in curves.items():
        if method == "cria-2021" and (crowd, "cria") in curves:
            pairs = [(n, needed(curves[crowd, "cria"], aim)) for n, aim in sorted(curve.items())]
            found[crowd] = [(n, m) for n, m in pairs if m is not None]
    return found
