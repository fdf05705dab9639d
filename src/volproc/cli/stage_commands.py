"""The command of each stage, made from its description."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from copy import copy
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from volproc.cli.app import (
    IN,
    RUNNING,
    GroupedCommand,
    SerialFlag,
    WorkersFlag,
    app,
    flag,
    values_of,
)
from volproc.config.cluster import ClusterOptions
from volproc.config.loading import overrule, parsed, set_option
from volproc.config.options import Options
from volproc.functions import arguments, keywords
from volproc.progress_bars import progress
from volproc.stages.description import Stage
from volproc.terminal import show
from volproc.workflow.registry import registered

CONFIG = "config"
Flags = dict[str, tuple[Any, Any]]
"""Annotation and default by name."""


def add_commands() -> None:
    """Add a command for each stage."""
    for stage in registered().values():
        if stage.command:
            app.command(stage.name, help=stage.help, cls=GroupedCommand)(_command(stage))


def _command(stage: Stage) -> Callable[..., None]:
    def command(**given: Any) -> None:
        stated = {name: value for name, value in given.items() if value is not None}
        _run(stage, stage.options.by_names_of_today(stated))

    flags = {**_positional(stage), **_places(stage), **_options(stage), **_running()}
    flags |= _earlier(stage, flags)
    flags.setdefault(CONFIG, (_config(typer.Option, rich_help_panel=RUNNING), None))
    command.__name__ = stage.name
    command.__annotations__ = {name: annotation for name, (annotation, _) in flags.items()}
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
            )
            for name, (annotation, default) in flags.items()
        ]
    )
    return command


def _positional(stage: Stage) -> Flags:
    found: Flags = {}
    places = {one.name: one for one in stage.places}
    for name in stage.positional:
        if name == CONFIG:
            found[CONFIG] = (_config(typer.Argument), None)
            continue
        one = places[name]
        told = one.help
        if stage.names(name) and not one.required:
            told = " ".join((stage.options.model_fields[name].description or "").split())
        argument = typer.Argument(help=told, metavar=one.metavar or name.upper())
        found[name] = (Annotated[str, argument], inspect.Parameter.empty)
    return found


def _places(stage: Stage) -> Flags:
    found: Flags = {}
    for one in stage.places:
        if one.name in arguments(stage) and one.name not in stage.positional:
            names = (f"--{one.name.replace('_', '-')}", *getattr(one, "flags", ()))
            option = typer.Option(
                *names, help=one.help, metavar=one.metavar or None, rich_help_panel=IN
            )
            found[one.name] = (Annotated[str | None, option], None)
    return found


def _options(stage: Stage) -> Flags:
    tables = {kind: name for name, kind in stage.tables.items()}
    found: Flags = {}
    for name, (kind, key) in keywords(stage).items():
        annotation = flag(kind, key, f"[{tables[kind]}]")
        if annotation is not None and name not in stage.positional:
            found[name] = (annotation, None)
    return found


def _earlier(stage: Stage, flags: Flags) -> Flags:
    """Hidden flags by earlier names."""
    found: Flags = {}
    for old, new in stage.options.RENAMED.items():
        if new in flags and new not in stage.positional:
            typed, option = get_args(flags[new][0])
            hidden = copy(option)
            hidden.hidden, hidden.param_decls = True, None
            found[old] = (Annotated[typed, hidden], None)
    return found


def _running() -> Flags:
    over = "Replace what volproc made there otherwise."
    told = "key=value or table.key=value, over all else but flags; repeatable."
    option = typer.Option("--set", help=told, metavar="KEY=VALUE", rich_help_panel=RUNNING)
    return {
        "overwrite": (Annotated[bool, typer.Option("--overwrite", help=over)], False),
        "workers": (WorkersFlag, None),
        "serial": (SerialFlag, False),
        "settings": (Annotated[list[str] | None, option], None),
    }


def _config(make: Callable[..., Any], **how: Any) -> Any:
    told = "A workflow file whose tables hold options."
    how |= {"help": told, "metavar": "WORKFLOW.toml", "show_default": False}
    return Annotated[Path | None, make(**how)]


def _run(stage: Stage, given: dict[str, Any]) -> None:
    tables = _tables(stage, given)
    held = {one.name: one.path_option for one in stage.outputs if one.path_option}
    places = given | {name: getattr(tables[stage.name], key) for name, key in held.items()}
    from volproc.workflow.single_stage import run_single

    with progress() as watch:
        result = run_single(
            stage,
            {name: tables[name] for name in stage.tables},
            {one.name: given[one.name] for one in stage.inputs if given.get(one.name)},
            {one.name: places[one.name] for one in stage.outputs if places.get(one.name)},
            overwrite=given["overwrite"],
            cluster=tables["cluster"],
            watchers=(watch,),
        )
    for line in stage.lines(result, tables):
        show(line)


def _tables(stage: Stage, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options by table: a file, overruled by the environment, --set, then flags."""
    from volproc.workflow.workflow_file import tables_of

    stated = tables_of(given[CONFIG]) if given.get(CONFIG) else {}
    overrule(stated, os.environ)
    for setting in given.get("settings", ()):
        key = setting.partition("=")[0]
        set_option(stated, setting if "." in key else f"{stage.name}.{setting}")
    cluster = {"kind": "serial" if given["serial"] else None, "workers": given.get("workers")}
    values = {**given, **_asked(stage, given)}
    found: dict[str, Any] = {}
    kinds: dict[str, type[Options]] = {**stage.tables, "cluster": ClusterOptions}
    for table, kind in kinds.items():
        flags = values_of(kind, cluster if table == "cluster" else values)
        # by today's names first: a flag goes over what a file says by an earlier name
        written = kind.by_names_of_today(stated.get(table, {}))
        found[table] = parsed(kind, {**written, **flags}, where="command line")
    return found


def _asked(stage: Stage, given: Mapping[str, Any]) -> dict[str, bool]:
    """Options that ask for an input or output: so does a place for it."""
    places = (one.name for one in stage.places)
    return {name: bool(given.get(name)) for name in places if stage.asks(name)}
