"""What pydantic says of a wrong option, in one line."""

from __future__ import annotations

import difflib
import json
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from volproc.credentials import masked


def explained(kind: type[Any], refused: ValidationError) -> str:
    """One line on the first value that is wrong for `kind`."""
    error: Any = refused.errors()[0]
    place = [str(part) for part in error["loc"]]
    depth = _tables_in(kind, place)
    name = ".".join(place[depth:])
    if depth:
        name = f"[{'.'.join(place[:depth])}] {name}"
    if error["type"] == "extra_forbidden":
        known = _names(kind, place[:-1])
        close = difflib.get_close_matches(place[-1], known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
        return f"unknown key {name}; {hint}"
    if error["type"] == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    given = masked(json.dumps(error["input"], default=str))
    return f"{name} = {given}: {error['msg'].lower()}"


def _tables_in(kind: type[BaseModel], place: list[str]) -> int:
    """How many of the first names in a place are tables."""
    for depth, name in enumerate(place[:-1]):
        inner = table_kind(kind, name)
        if inner is None:
            return depth
        kind = inner
    return max(0, len(place) - 1)


def _names(kind: type[BaseModel], tables: list[str]) -> list[str]:
    for table in tables:
        kind = table_kind(kind, table) or kind
    return [field.alias or name for name, field in kind.model_fields.items()]


def table_kind(kind: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The options in the table `name`; None where that is no table."""
    stated = kind.model_fields[name].annotation if name in kind.model_fields else None
    if get_origin(stated) is tuple:
        return None
    return next((one for one in (stated, *get_args(stated)) if hasattr(one, "model_fields")), None)


def item_kind(kind: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The options in each table of a list of tables `name`; None where that is none."""
    stated = kind.model_fields[name].annotation if name in kind.model_fields else None
    inner = get_args(stated) if get_origin(stated) is tuple else ()
    return next((one for one in inner if hasattr(one, "model_fields")), None)
