"""Mending objects of a run: fix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from volproc.cli.app import SerialFlag, app
from volproc.cli.workflow_commands import RunFolder
from volproc.errors import ConfigError
from volproc.progress_bars import progress
from volproc.terminal import show

if TYPE_CHECKING:
    from volproc.stages.edits.edit_log import EditLog
    from volproc.stages.edits.requests import EditRequest
    from volproc.workflow.fixing import EditedRun

POSITIONS = '"Z Y X; Z Y X"'


def _flag(metavar: str, help: str) -> Any:
    return typer.Option(metavar=metavar, help=help)


@app.command()
def fix(
    folder: RunFolder,
    edits: Annotated[
        Path | None, _flag("FILE", "Edits from a file, TOML or CSV (docs/fix.md).")
    ] = None,
    merge: Annotated[str, _flag('"ID ID"', "Make one object of several.")] = "",
    split: Annotated[str, _flag("ID", "Cut an object, at least two parts begin at --at.")] = "",
    delete: Annotated[str, _flag('"ID ID"', "Make background of objects.")] = "",
    paint: Annotated[
        str, _flag("ID", "Give the voxels of a shape to an object; 0: to the background.")
    ] = "",
    at: Annotated[
        str,
        _flag(POSITIONS, 'Positions in nm from the corner; " | " between parts of several.'),
    ] = "",
    radius_nm: Annotated[str, _flag("NM", "Half the width of a painted stroke, or a ball's.")] = "",
    box: Annotated[bool, typer.Option("--box", help="Paint a box between two positions.")] = False,
    over: Annotated[str, _flag('"ID ID"', "Paint over these only; 0: background.")] = "",
    by: Annotated[str, _flag("distance|probability", "What a split follows.")] = "",
    why: Annotated[str, _flag("TEXT", "The reason, for the list.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Undo the last edit that counts.")] = False,
    number: Annotated[int, _flag("N", "With --undo: this edit instead.")] = 0,
    listing: Annotated[bool, typer.Option("--list", help="List the edits, and stop.")] = False,
    serial: SerialFlag = False,
) -> None:
    """Mend a run's objects: merge, split, delete and paint; what they touch is made again.

    Without an edit: apply those that are recorded, such as from `volproc view`.
    """
    from volproc.stages.edits.requests import requests_in
    from volproc.workflow.fixing import edited_run

    run = edited_run(folder)
    if listing:
        show(_table(run.log))
        return
    words = {"by": by, "over": over, "radius_nm": radius_nm, "why": why}
    single = _single(
        {"merge": merge, "split": split, "delete": delete, "paint": paint}, at, words, box=box
    )
    if sum((bool(edits), bool(single), undo)) > 1:
        raise ConfigError("give one of --edits, a single edit, --undo")
    if number and not undo:
        raise ConfigError("--number says which edit --undo undoes; give both")
    if undo:
        show(f"edit {run.undo(number, why=why)} is undone")
    elif requests := requests_in(edits) if edits else single:
        for edit in run.append(requests):
            show(f"edit {edit.number}: {edit}")
    _make(run, serial=serial)


def _make(run: EditedRun, *, serial: bool) -> None:
    with progress() as watch:
        made = run.make((watch,), serial=serial)
    if not made:
        show("no edits are recorded")
    else:
        show(f"made again as far as touched: {', '.join(made)}")


def _single(
    flags: dict[str, str], at: str, words: dict[str, str], *, box: bool
) -> tuple[EditRequest, ...]:
    """The edit of the flags, if they state one."""
    from volproc.config.loading import parsed
    from volproc.stages.edits.requests import EditRequest, in_words

    stated = [(do, objects) for do, objects in flags.items() if objects]
    given = {name: word for name, word in words.items() if word and name != "why"}
    if not stated and (at or given or box):
        raise ConfigError("which edit? give --merge, --split, --delete or --paint with its objects")
    if len(stated) > 1:
        raise ConfigError(
            f"--{stated[0][0]} and --{stated[1][0]} are two edits; give them in a file, --edits"
        )
    for do, objects in stated:
        place = {("points" if do == "paint" else "parts"): at} if at else {}
        shape = {"shape": "box"} if box else {}
        row = {"do": do, "objects": objects, **words, **place, **shape}
        row = {name: word for name, word in row.items() if word}
        return (parsed(EditRequest, in_words(row, f"--{do}"), where=f"--{do}"),)
    return ()


def _table(log: EditLog) -> Table:
    table = Table("edit", "who", "when", "what", "why", "counts")
    for row in _rows(log):
        table.add_row(*row)
    return table


def _rows(log: EditLog) -> Iterator[tuple[str, ...]]:
    counting = set(log.numbers)
    for line in log.lines:
        who, when = str(line["who"]), str(line["when"])
        if "undo" in line:
            yield "", who, when, f"undo of {line['undo']}", str(line.get("why", "")), ""
        for record in line.get("edits", ()):
            edit = log.edits[record["number"]]
            counts = "yes" if edit.number in counting else "undone"
            yield str(edit.number), who, when, str(edit), edit.asked.why, counts
