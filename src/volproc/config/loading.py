"""One TOML file, overruled by the environment, then by flags.

A file is overruled by the environment (VOLPROC_PREDICT__AXES=zy), the environment by flags
(--set predict.axes=zy). Relative paths in a file are seen from the file's folder.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from volproc.config.explaining import explained
from volproc.config.options import ACCESSION, Options
from volproc.config.workflow import MODELS, PATHS, Workflow
from volproc.errors import ConfigError
from volproc.retry import patient

T = TypeVar("T", bound=Options)


@patient
def load_workflow(
    path: Path, *, flags: Iterable[str] = (), environment: Mapping[str, str] = os.environ
) -> Workflow:
    """The options of a TOML file, overruled by the environment, then by `flags` (table.key=value).

    ConfigError, one line, names the key that is wrong and what it may be.
    """
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read the workflow file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from error
    _anchor(tables, path.parent)
    _overrule(tables, environment)
    for flag in flags:
        key, equals, value = flag.partition("=")
        if not equals or "." not in key:
            raise ConfigError(f"--set needs table.key=value, got {flag!r}")
        _set(tables, key, value)
    return parsed(Workflow, tables, where=str(path))


def from_flags(
    kind: type[T], table: str, flags: dict[str, Any], *, environment: Mapping[str, str] = os.environ
) -> T:
    """The options of one `table` for a command without a file: the environment, then `flags`."""
    tables: dict[str, Any] = {}
    _overrule(tables, environment)
    return parsed(kind, {**tables.get(table, {}), **flags}, where="command line")


def parsed(kind: type[T], values: dict[str, Any], *, where: str) -> T:
    """`values` as options of `kind`; ConfigError, one line, for the first that is wrong."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{where}: {explained(kind, error)}") from error


def _anchor(tables: dict[str, Any], folder: Path) -> None:
    def seen_from(value: Any) -> Any:
        if isinstance(value, list):
            return [seen_from(one) for one in value]
        if not isinstance(value, str) or not _is_path(value):
            return value
        # ../demo shows as demo, not examples/../demo
        return os.path.normpath(folder / os.path.expanduser(value))

    for table, key in PATHS:
        options = tables.get(table)
        if isinstance(options, dict) and key in options:
            options[key] = seen_from(options[key])
    for table, key in MODELS:
        options = tables.get(table)
        if not isinstance(options, dict) or not isinstance(options.get(key), str):
            continue
        if "/" in options[key] or (options[key] and (folder / options[key]).is_dir()):
            options[key] = seen_from(options[key])


def _is_path(text: str) -> bool:
    return bool(text) and "://" not in text and not ACCESSION.fullmatch(text)


def _overrule(tables: dict[str, Any], environment: Mapping[str, str]) -> None:
    for name, value in sorted(environment.items()):
        if name.startswith("VOLPROC_") and "__" in name:
            _set(tables, name.removeprefix("VOLPROC_").lower().replace("__", ".", 1), value)


def _set(tables: dict[str, Any], key: str, text: str) -> None:
    table, _, option = key.partition(".")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    options = tables.setdefault(table, {})
    if isinstance(options, dict):  # anything else is refused by `check`
        options[option] = value
