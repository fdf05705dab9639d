"""Tables of crowd_methods.py: from scores of single slices to a row per crowd, size and method."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from crowd_figure import needed

MEANS = ("dice", "iou", "masd_nm", "nsd_50", "nsd_100")
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
        real = [row for row in group if not row["empty"]]
        empty = [row for row in group if row["empty"]]
        means = {name: float(np.mean([row[name] for row in real])) for name in MEANS}
        out.append(
            {"crowd": crowd, "volunteers": n, "method": method, "slices": len(real)}
            | means
            | {
                "found": sum(row["found"] for row in real) / sum(row["fragments"] for row in real),
                "made_up": sum(row["made_up"] for row in real),
                "false": sum(row["false"] for row in empty),
                "empty": len(empty),
                "seconds": float(np.mean([row["seconds"] for row in group])),
            }
        )
    return out


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
