"""Figures that a benchmark prints for a table of those of many (`gpu_session.py`)."""

from __future__ import annotations

import re
from collections.abc import Iterator

FIGURE = re.compile(r"^figure: (.+?) \| (.+)$", re.MULTILINE)


def figure(what: str, value: float, unit: str) -> None:
    """Print one, on a line of its own."""
    print(f"figure: {what} | {value:.4g} {unit}", flush=True)


def figures(log: str) -> Iterator[tuple[str, str]]:
    """What was printed: (what, value with its unit)."""
    for found in FIGURE.finditer(log):
        yield found.group(1), found.group(2)
