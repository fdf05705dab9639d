"""A wrong option, in one line: the value, what was expected, and what was perhaps meant."""

from __future__ import annotations

import difflib
import json
from typing import Any, get_args

from pydantic import ValidationError


def explained(kind: type[Any], refused: ValidationError) -> str:
    """One line on the first value that is wrong for `kind`."""
    error: Any = refused.errors()[0]
    place = [str(part) for part in error["loc"]]
    name = ".".join(place)
    if _is_table(kind, place):
        name = f"[{place[0]}] {'.'.join(place[1:])}"
    if error["type"] == "extra_forbidden":
        known = _names(kind, place[:-1])
        close = difflib.get_close_matches(place[-1], known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
        return f"unknown key {name}; {hint}"
    if error["type"] == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    return f"{name} = {json.dumps(error['input'], default=str)}: {error['msg'].lower()}"


def _is_table(kind: type[Any], place: list[str]) -> bool:
    """Whether the first part of a place is a table of a workflow file."""
    return len(place) > 1 and kind.__name__ == "Workflow"


def _names(kind: type[Any], tables: list[str]) -> list[str]:
    for table in tables:
        stated = kind.model_fields[table].annotation
        kind = next(one for one in (stated, *get_args(stated)) if hasattr(one, "model_fields"))
    return list(kind.model_fields)
