"""Options from what a file, the environment and flags say."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from volproc.config.explaining import explained, item_kind, table_kind
from volproc.config.options import ACCESSION, MODEL, PATH, Options
from volproc.errors import ConfigError

T = TypeVar("T", bound=Options)


def parsed(kind: type[T], values: dict[str, Any], *, where: str) -> T:
    """`values` as options of `kind`; ConfigError, one line, for the first that is wrong."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{where}: {explained(kind, error)}") from error


def from_flags(
    kind: type[T], table: str, flags: dict[str, Any], *, environment: Mapping[str, str] = os.environ
) -> T:
    """The options of one `table` for a command without a file: the environment, then `flags`."""
    tables: dict[str, Any] = {}
    overrule(tables, environment)
    return parsed(kind, {**tables.get(table, {}), **flags}, where="command line")


def overrule(tables: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Set what the environment says: VOLPROC_TABLE__KEY, or VOLPROC_TABLE__INNER__KEY."""
    for name, value in sorted(environment.items()):
        if name.startswith("VOLPROC_") and "__" in name:
            _set(tables, name.removeprefix("VOLPROC_").lower().replace("__", "."), value)


def set_option(tables: dict[str, Any], flag: str) -> None:
    """Set what a flag `table.key=value` says; ConfigError for another form."""
    key, equals, value = flag.partition("=")
    if not equals or "." not in key:
        raise ConfigError(f"--set needs table.key=value, got {flag!r}")
    _set(tables, key, value)


def anchor(tables: dict[str, Any], workflow: type[BaseModel], folder: Path) -> None:
    """Make paths that are relative to a file's folder relative to where the program runs."""

    def seen_from(value: str) -> str:
        # ../demo shows as demo, not examples/../demo
        return os.path.normpath(folder / os.path.expanduser(value)) if _is_path(value) else value

    for key, value in tables.items():
        kind, item = table_kind(workflow, key), item_kind(workflow, key)
        if kind and isinstance(value, dict):
            anchor(value, kind, folder)
        for one in value if isinstance(value, list) else ():
            if item and isinstance(one, dict):
                anchor(one, item, folder)
        marks = _marks(workflow, key)
        if PATH in marks:
            tables[key] = _each_text(value, seen_from)
        elif MODEL in marks and isinstance(value, str) and value:
            shipped = "/" not in value and not (folder / value).is_dir()
            tables[key] = value if shipped else seen_from(value)


def _marks(kind: type[BaseModel], key: str) -> set[str]:
    """What an option or its items are marked with in `config/options.py`."""
    renamed: Mapping[str, str] = getattr(kind, "RENAMED", {})
    field = kind.model_fields.get(renamed.get(key, key))
    if field is None:
        return set()
    inner = getattr(field.annotation, "__args__", ())
    found = (*field.metadata, *(m for one in inner for m in getattr(one, "__metadata__", ())))
    return {mark for mark in found if isinstance(mark, str)}


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, list):
        return [_each_text(one, change) for one in value]
    if isinstance(value, dict):
        return {key: _each_text(one, change) for key, one in value.items()}
    return change(value) if isinstance(value, str) else value


def _is_path(text: str) -> bool:
    return bool(text) and "://" not in text and not ACCESSION.fullmatch(text)


def _set(tables: dict[str, Any], key: str, text: str) -> None:
    *tables_of_key, option = key.split(".")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        value = text
    options: Any = tables
    for table in tables_of_key:
        options = options.setdefault(table, {}) if isinstance(options, dict) else None
    if isinstance(options, dict):  # anything else is refused when it is parsed
        options[option] = value
