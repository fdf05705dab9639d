"""What is asked for: edits from a file of TOML or CSV, or from words of the command line.

Positions are in nm (z, y, x), counted from the labels' corner as in the table of objects.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from volproc.config.loading import parsed
from volproc.config.options import MOST, Options, Positive
from volproc.errors import ConfigError

Coordinate = Annotated[float, Field(ge=-MOST, le=MOST)]
Point = tuple[Coordinate, Coordinate, Coordinate]
"""(z, y, x) in nm."""
Part = tuple[Point, ...]
Number = Annotated[int, Field(ge=0, lt=2**64)]


def _several(value: Any) -> Any:
    """A single number where several may be."""
    return (value,) if isinstance(value, int) else value


Numbers = Annotated[tuple[Number, ...], BeforeValidator(_several)]


class EditRequest(Options):
    """One edit as somebody states it."""

    do: Literal["merge", "split", "delete", "paint"]
    """What is done."""
    objects: Numbers
    """Ids of the objects: those that are merged or deleted, the one that is split or painted (0
    paints background)."""
    parts: tuple[Part, ...] = ()
    """Of a split: for each part one or more positions inside it; the first part keeps the id."""
    by: Literal["distance", "probability"] = "distance"
    """Of a split: cut where the object is thin, or where the prediction is low."""
    points: tuple[Point, ...] = ()
    """Of paint: a ball's middle, the positions that a stroke leads through, or two corners of a
    box."""
    shape: Literal["stroke", "box"] = "stroke"
    """Of paint: what the points are."""
    radius_nm: Positive | None = None
    """Of a stroke: half its width; nm."""
    over: Numbers = ()
    """Of paint: only voxels of these objects change (0: background); all if empty."""
    why: str = ""
    """The reason, for whoever reads the list later."""

    @model_validator(mode="after")
    def _is_whole(self) -> EditRequest:
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterator[str]:
        found = len(set(self.objects))
        if self.do == "merge" and found < 2:
            yield f"merge needs two objects or more, got {list(self.objects)}"
        if self.do == "delete" and not found:
            yield "delete needs an object"
        if self.do in ("split", "paint") and found != 1:
            yield f"{self.do} needs one object, got {list(self.objects)}"
        if self.do != "paint" and 0 in self.objects:
            yield f"{self.do} of object 0: that is the background"
        if self.do == "split" and (len(self.parts) < 2 or not all(self.parts)):
            yield f"split needs two parts or more with a position each, got {len(self.parts)}"
        if self.do == "paint":
            yield from self._problems_of_shape()

    def _problems_of_shape(self) -> Iterator[str]:
        if self.shape == "box" and len(self.points) != 2:
            yield f"a box has two corners as points, got {len(self.points)}"
        if not self.points:
            yield "paint needs points"
        if self.shape == "stroke" and self.radius_nm is None:
            yield "a stroke needs radius_nm"


COLUMNS = tuple(EditRequest.model_fields)


def requests_in(path: str | Path) -> tuple[EditRequest, ...]:
    """The edits of a file, `[[edit]]` tables in TOML or rows of CSV; ConfigError if one is wrong.

    In CSV positions are "z y x; z y x", the parts of a split separated by "|".
    """
    file = Path(path)
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the edits {path}: {error}") from error
    stated = list(_of_csv(text, path) if file.suffix.lower() == ".csv" else _of_toml(text, path))
    if not stated:
        raise ConfigError(f"{path} has no edits; see docs/fix.md for how they are written")
    return tuple(
        parsed(EditRequest, dict(one), where=f"{path}, edit {n}")
        for n, one in enumerate(stated, start=1)
    )


def _of_toml(text: str, path: str | Path) -> Iterable[Mapping[str, Any]]:
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from error
    edits = tables.pop("edit", [])
    if tables or not isinstance(edits, list) or not all(isinstance(one, dict) for one in edits):
        wrong = next(iter(tables), "edit")
        raise ConfigError(f"{path} has {wrong!r}; edits are tables called [[edit]]")
    return edits


def _of_csv(text: str, path: str | Path) -> Iterator[dict[str, Any]]:
    rows = csv.DictReader(text.splitlines())
    foreign = sorted({name or "" for name in rows.fieldnames or ()} - set(COLUMNS))
    if foreign:
        raise ConfigError(f"{path} has a column {foreign[0]!r}; columns are {', '.join(COLUMNS)}")
    for number, row in enumerate(rows, start=1):
        if None in row:
            raise ConfigError(f"{path}, edit {number} has more values than there are columns")
        yield in_words({name: value for name, value in row.items() if value}, f"{path}, {number}")


def in_words(row: Mapping[str, str], where: str) -> dict[str, Any]:
    """An edit of words as tables have it; ConfigError for a position that is none.

    >>> in_words({"do": "merge", "objects": "3 7"}, "")
    {'do': 'merge', 'objects': (3, 7)}
    >>> in_words({"parts": "0 0 5; 0 0 9"}, "")["parts"]
    [[(0.0, 0.0, 5.0)], [(0.0, 0.0, 9.0)]]
    """
    found: dict[str, Any] = dict(row)
    try:
        for name in ("objects", "over"):
            if name in row:
                found[name] = tuple(map(int, row[name].replace(",", " ").split()))
        if "points" in row:
            found["points"] = positions(row["points"])
        if "parts" in row:
            groups = row["parts"].split("|" if "|" in row["parts"] else ";")
            found["parts"] = [positions(group) for group in groups]
    except ValueError as error:
        raise ConfigError(
            f'{where}: {error}; ids are such as "3 7", positions "100 200 300; 100 250 300" in nm '
            "(z y x)"
        ) from error
    return found


def positions(text: str) -> list[tuple[float, ...]]:
    """Positions from words; ValueError where one has not three numbers."""
    found: list[tuple[float, ...]] = []
    for one in text.split(";"):
        point = tuple(map(float, one.replace(",", " ").split()))
        if len(point) != 3:
            raise ValueError(f"{one.strip()!r} is no position")
        found.append(point)
    return found
