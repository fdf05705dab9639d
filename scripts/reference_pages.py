"""Reference pages that scripts/generate writes: every command, every Python name."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from typer.main import get_command

import volproc
from volproc import cli, functions
from volproc.stages.description import Stage
from volproc.workflow.registry import registered

GENERATED = "Written by `scripts/generate`."
COMMANDS = f"""# Commands

Every command of `volproc`, with what it takes. {GENERATED} Options that a command shares
with a table of the workflow file are in [options](options.md): each is a flag here, its name
with dashes. `volproc COMMAND --help` says the same in a terminal.

A command never replaces what it was not asked to replace. An output that is also an input, that
volproc did not write, or that was made with other options is refused. `--overwrite` replaces what
volproc made. Volumes may be at URLs ([in a bucket](admins.md#in-a-bucket)). The environment sets
options too: `VOLPROC_CLUSTER__WORKERS=4`."""
PYTHON = f"""# Python functions

Every public name of `volproc`, from its docstring. {GENERATED} [Python](api.md) is the
page to begin with: it has the names by what they are for, and a whole example."""
RAISES = "Raises `VolprocError`, in one line: the value, what was expected, the way out."
RUNNING = ("--overwrite", "--workers", "--serial", "--set", "--config")
FOR_ALL = (
    "and `--overwrite`, `--workers N`, `--serial`, `--set KEY=VALUE`, `--config WORKFLOW.toml`"
)


def commands_page() -> str:
    """Every command: its line, what it does, its arguments and flags."""
    program = get_command(cli.app)
    parts = [COMMANDS]
    for name, command in _commands("volproc", program):
        parts += [
            "",
            f"## {name}",
            "",
            _told(command.help),
            "",
            f"```text\n{_line(name, command)}\n```",
        ]
        parts += _flags(name.removeprefix("volproc "), command)
    return "\n".join(parts) + "\n"


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", {})
    for one, below in inner.items():
        if not below.hidden:
            yield from _commands(f"{name} {one}", below)
    if not inner:
        yield name, command


def _line(name: str, command: Any) -> str:
    places = [one for one in command.params if one.param_type_name == "argument"]
    words = [_place(one) for one in places]
    return " ".join([name, *words, "[flags]" if len(places) < len(command.params) else ""]).rstrip()


def _place(argument: Any) -> str:
    word = (argument.metavar or argument.name.upper()).strip("[]")
    word += "..." if argument.nargs != 1 and not word.endswith("...") else ""
    return word if argument.required else f"[{word}]"


def _flags(command_name: str, command: Any) -> Iterator[str]:
    stage = registered().get(command_name)
    rows = []
    context = command.context_class(command)
    for one in command.params:
        panel = str(getattr(one, "rich_help_panel", None) or "")
        row = one.get_help_record(context)
        of_all = stage and any(flag in RUNNING for flag in one.opts)
        if row and not panel.startswith("[") and not of_all and one.name != "help":
            name = re.sub(r" <.*>$", "", row[0])
            rows.append(f"| `{_cell(name)}` | {_cell(row[1])} |")
    if rows:
        yield from ("", "| | |", "|---|---|", *rows)
    if stage:
        tables = " and ".join(f"[{table}](options.md#{slug(table)})" for table in stage.tables)
        yield from ("", f"Flags besides: the options of {tables}, {FOR_ALL}.")


def slug(title: str) -> str:
    """The anchor of a heading, as git hosts make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def python_page() -> str:
    """Every public name, with what it takes and its docstring."""
    parts = [PYTHON]
    stages = {stage.name: stage for stage in registered().values()}
    for name in volproc.__all__:
        found = getattr(volproc, name)
        if name in stages:
            parts += ["", f"## volproc.{name}", "", *_stage(stages[name])]
        elif inspect.ismodule(found):
            for inner in _public(found):
                parts += ["", *_function(f"volproc.{name}.{inner}", getattr(found, inner))]
        elif inspect.isclass(found) and not name.endswith("Options"):
            parts += ["", *_class(name, found)]
        elif inspect.isfunction(found):
            parts += ["", *_function(f"volproc.{name}", found)]
    return "\n".join(parts) + "\n"


def _stage(stage: Stage) -> Iterator[str]:
    taken = functions.arguments(stage)
    words = [name if needed else f"{name}=None" for name, (_, needed, _) in taken.items()]
    yield _told(stage.help)
    words = sorted(words, key=lambda word: "=" in word)
    words += ["options=None", "**keywords"]
    yield f"\n```text\nvolproc.{stage.name}({', '.join(words)})\n```"
    if taken:
        yield "\n| | type | |\n|---|---|---|"
    for name, (typed, _, told) in taken.items():
        yield f"| `{name}` | {_cell(typed)} | {_cell(told)} |"
    tables = " and ".join(f"[{table}](options.md#{slug(table)})" for table in stage.tables)
    yield f"\nKeywords: the options of {tables}, `overwrite`, `cluster`, `watchers`, `progress`."
    yield f"Returns `{stage.returns.rpartition('.')[2]}`: {stage.about_result} {RAISES}"


def _public(module: Any) -> list[str]:
    """The functions that a module defines, or says it offers."""
    own = [
        name
        for name, one in vars(module).items()
        if inspect.isfunction(one) and one.__module__ == module.__name__ and name[0] != "_"
    ]
    return list(getattr(module, "__all__", own))


def _function(title: str, function: Callable[..., Any], head: str = "##") -> Iterator[str]:
    yield f"{head} {title}"
    yield f"\n```text\n{title.rpartition('.')[2]}{_signature(function)}\n```\n"
    yield _markdown(inspect.getdoc(function) or "")


def _class(name: str, kind: type) -> Iterator[str]:
    yield f"## volproc.{name}\n"
    yield _markdown(_without_code(inspect.getdoc(kind) or ""))
    rows = _members(kind)
    if rows:
        yield "\n| | |\n|---|---|"
    for key, one in rows:
        call = key if isinstance(one, property) else f"{key}{_signature(one)}"
        yield f"| `{_cell(call)}` | {_cell((inspect.getdoc(one) or '').split(chr(10) * 2)[0])} |"


def _members(kind: type) -> list[tuple[str, Any]]:
    """Documented methods and properties, of volproc's own classes it inherits from too."""
    ours = [one for one in kind.__mro__ if one.__module__.startswith("volproc")]
    named = {key: one for home in reversed(ours) for key, one in vars(home).items()}
    return [
        (key, one)
        for key, one in named.items()
        if key[0] != "_"
        and (inspect.isfunction(one) or isinstance(one, property))
        and inspect.getdoc(one)
    ]


def _signature(function: Callable[..., Any]) -> str:
    """As it is written in the source: values of this machine's environment are not in it."""
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(node, ast.FunctionDef)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    text = re.sub(r"^self(, )?", "", ast.unparse(node.args))
    return f"({text}){returns}"


def _told(text: str | None) -> str:
    return " ".join((text or "").split("\f")[0].split())


def _without_code(text: str) -> str:
    return text.split("\n>>>")[0].strip()


def _markdown(docstring: str) -> str:
    """Paragraphs as they are, examples of doctest as code."""
    parts = []
    for part in docstring.split("\n\n"):
        parts.append(f"```pycon\n{part}\n```" if part.startswith(">>>") else part)
    return "\n\n".join(parts)
