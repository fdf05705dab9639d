"""What all commands share: the program, its flags, and how flags become options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from volproc.config import (
    ClusterOptions,
    FetchOptions,
    IngestOptions,
    Options,
    RunOptions,
    T,
    from_flags,
)
from volproc.errors import ConfigError

app = typer.Typer(
    help="Volume electron microscopy to labelled objects.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def option(kind: type[Options], key: str, *names: str, **more: Any) -> Any:
    """The flag of an option, with its meaning and default from where those are defined.

    Flags are None unless they are given, so that the environment counts where they are not.
    """
    field = kind.model_fields[key]
    shown = False if field.default in (None, "", (), False) else str(field.default)
    said = field.description
    if get_origin(field.annotation) is Literal:
        more["metavar"] = "|".join(map(str, get_args(field.annotation)))
    elif get_args(field.annotation)[1:] == (Ellipsis,):
        more.setdefault("metavar", "VALUE")
        said = f"{said} Repeatable."
    return typer.Option(*names, help=said, show_default=shown, **more)


WorkflowFile = Annotated[
    Path, typer.Argument(metavar="WORKFLOW.toml", help="The options, as TOML.")
]
StagesFlag = Annotated[str, typer.Option("--stages", help="Only these, separated by commas.")]
SetFlag = Annotated[
    list[str] | None,
    typer.Option("--set", help="table.key=value, over what the file says; repeatable."),
]
Triple = tuple[float, float, float]
VoxelFlag = Annotated[Triple | None, option(IngestOptions, "voxel_nm", metavar="Z Y X")]
PatternFlag = Annotated[list[str] | None, option(FetchOptions, "pattern")]
BoxFlag = Annotated[str | None, option(RunOptions, "box")]
WorkersFlag = Annotated[int | None, option(ClusterOptions, "workers")]
TruthLabelsFlag = Annotated[
    str, typer.Option(help="Label values that count, separated by commas; else all but 0.")
]
OverwriteFlag = Annotated[
    bool, typer.Option("--overwrite", help="Replace what volproc made there otherwise.")
]
SerialFlag = Annotated[bool, typer.Option("--serial", help="No workers: this process alone.")]


def cluster_of(workers: int | None, serial: bool) -> ClusterOptions:
    """Who does the work, as far as flags say it."""
    return stated(ClusterOptions, {"kind": "serial" if serial else None, "workers": workers})


def stated(kind: type[T], values: Mapping[str, Any]) -> T:
    """The options of `kind` among a command's `values` that were given, over the environment."""
    given = {key: values[key] for key in kind.model_fields if values.get(key) is not None}
    return from_flags(kind, kind.__name__.removesuffix("Options").lower(), given)


def listed(text: str) -> tuple[str, ...]:
    """The parts of a flag that are separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def whole_numbers(flag: str, text: str) -> tuple[int, ...] | None:
    """The numbers of a flag that are separated by commas; None if there are none."""
    try:
        return tuple(int(part) for part in listed(text)) or None
    except ValueError as error:
        raise ConfigError(
            f"{flag} needs whole numbers separated by commas, got {text!r}"
        ) from error
