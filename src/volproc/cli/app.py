"""The program: its flags, and how they become options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from typer.core import TyperCommand

from volproc.config.options import Options

IN, RUNNING = "Inputs and outputs", "Running"
SCALARS = (int, float, str)


class GroupedCommand(TyperCommand):
    """A command whose help lists its flags by what they are for."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then each group of flags."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            argument = param.param_type_name == "argument"
            group = "Arguments" if argument else getattr(param, "rich_help_panel", None) or RUNNING
            if row := param.get_help_record(ctx):
                groups.setdefault(group, []).append(row)
        for name, rows in groups.items():
            with formatter.section(name):
                formatter.write_dl(rows)


app = typer.Typer(
    help="Volume electron microscopy to labelled objects.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

WorkflowFile = Annotated[
    Path, typer.Argument(metavar="WORKFLOW.toml", help="The options, as TOML.")
]
StagesFlag = Annotated[str, typer.Option("--stages", help="Only these, separated by commas.")]
SetFlag = Annotated[
    list[str] | None,
    typer.Option("--set", help="table.key=value, over what the file says; repeatable."),
]
RedoFlag = Annotated[
    str,
    typer.Option("--redo", help="Make these stages anew, separated by commas.", metavar="STAGES"),
]
BoxFlag = Annotated[
    str,
    typer.Option(
        "--box",
        help='Only this part of the image: "512" in the middle, "0:64,0:512,0:512" in voxels, or '
        '"0:2um,0:5um,:".',
    ),
]
WorkersFlag = Annotated[
    int | None, typer.Option("--workers", help="Worker processes; 0 is one per core.")
]
SerialFlag = Annotated[bool, typer.Option("--serial", help="No workers: this process alone.")]


def flag(kind: type[Options], key: str, panel: str) -> Any:
    """The flag of an option, annotated for typer; None for what only a file or --set can say.

    Flags are None unless they are given, so that the environment counts where they are not.
    """
    field = kind.model_fields[key]
    typed, metavar = _typed(field.annotation)
    if typed is None:
        return None
    told = " ".join((field.description or "").split())
    if get_origin(typed) is list:
        told = f"{told} Repeatable."
    if field.default not in (None, "", (), False):
        told = f"{told} [default: {_written(field.default)}]"
    option = typer.Option(help=told, rich_help_panel=panel, metavar=metavar or None)
    return Annotated[typed | None, option]


def _written(default: Any) -> str:
    return " ".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _typed(annotation: Any) -> tuple[Any, str]:
    """The type of a flag, and how its value is written; None where no flag can say it."""
    parts = [part for part in get_args(annotation) if part is not type(None)]
    origin = get_origin(annotation)
    if origin is Annotated:
        return _typed(parts[0])
    if origin is Literal:
        return str, "|".join(map(str, parts))
    if origin in (Union, UnionType):
        if len(parts) == 1:
            return _typed(parts[0])
        words = [w for p in parts if get_origin(p) is Literal for w in map(str, get_args(p))]
        return str, "|".join([*words, "NUMBER"] if words else [])
    if origin is tuple and parts[1:] == [Ellipsis]:
        inner = _typed(parts[0])[0]
        return (list[str] if inner in SCALARS else None), "VALUE"
    if origin is tuple:
        inner = [_typed(part)[0] for part in parts]
        plain = all(one in SCALARS for one in inner)
        names = "Z Y X" if len(inner) == 3 else "FROM TO"
        return (tuple[tuple(inner)] if plain else None), names  # type: ignore[misc]
    return (annotation, "") if annotation in (*SCALARS, bool) else (None, "")


def values_of(kind: type[Options], given: Mapping[str, Any]) -> dict[str, Any]:
    """Flags that were given, as values of options: numbers may be separated by commas."""
    found = {key: given[key] for key in kind.model_fields if given.get(key) is not None}
    for key, value in found.items():
        annotation = kind.model_fields[key].annotation
        item = get_args(annotation)[:1]
        if get_origin(annotation) is Literal:
            found[key] = next((one for one in get_args(annotation) if str(one) == value), value)
        if isinstance(value, list) and item and _typed(item[0])[0] in (int, float):
            found[key] = [part.strip() for one in value for part in one.split(",") if part.strip()]
    return found


def listed(text: str) -> tuple[str, ...]:
    """The parts of a flag that are separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
