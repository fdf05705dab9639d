"""The twin of a page that programs read: every number on it, none of its pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import Any

from volproc.stages.report.axis_agreement import Agreement
from volproc.stages.report.report_page import Page

FORMAT = "volproc-report-1"
"""Raised when a key gets another meaning or goes; docs/report.md lists the keys."""


def twin(page: Page) -> dict[str, Any]:
    """The page as JSON can say it. What is not known is null."""
    agreements = {name: _agreement(one) for name, one in page.agreements.items()}
    return {"format": FORMAT, **_plain(page), "agreement": agreements}


def twin_of(page: str) -> str:
    """Where the twin of a page is.

    >>> twin_of("run/report.html")
    'run/report.json'
    """
    return f"{page.removesuffix('.html')}.json"


def to_json(found: Mapping[str, Any]) -> str:
    """As text, a line for each of the short parts."""
    return json.dumps(found, indent=1, ensure_ascii=False, default=str) + "\n"


def _agreement(found: Agreement) -> dict[str, Any]:
    return {
        "voxel_nm": list(found.voxel_nm),
        "coarse": found.coarse,
        "votes": {str(n): share for n, share in found.by_votes.items()},
        "axes": found.shares,
        "dice": {f"{a}{b}": dice for a, b, dice in found.pairs},
    }


def _plain(thing: Any) -> Any:
    """Dataclasses as tables, without their pictures; numbers that are none as None."""
    if is_dataclass(thing) and not isinstance(thing, type):
        kept = (one for one in fields(thing) if not one.metadata.get("is_picture"))
        return {one.name: _plain(getattr(thing, one.name)) for one in kept}
    if isinstance(thing, Mapping):
        return {str(key): _plain(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [_plain(one) for one in thing]
    if isinstance(thing, float):
        return thing if isfinite(thing) else None
    return thing
