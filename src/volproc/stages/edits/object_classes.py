"""What a table of objects says of each besides its place: its class, or its value in a mask."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from volproc.errors import VolumeError
from volproc.faults import understanding
from volproc.stages.edits.edit import Edit
from volproc.stages.objects.components import Ids
from volproc.stages.objects.statistics import Statistics, with_values
from volproc.volume.access import exists
from volproc.volume.file_io import read_file

COLUMNS = ("class", "value")


class ObjectClasses(NamedTuple):
    """The `column` of a table, "" where it has none, and what it says of each object."""

    column: str
    words: dict[int, str]

    def after(self, edits: Iterable[Edit]) -> ObjectClasses:
        """The same once some edits count: parts are of their object's class, and what is merged of
        the class of the object whose id stays."""
        words = dict(self.words)
        for edit in edits:
            words.update(dict.fromkeys(edit.new_ids, words.get(edit.kept, "")))
        return ObjectClasses(self.column, words)

    def put_into(
        self, objects: Statistics, ids: Ids
    ) -> tuple[Statistics, str | tuple[str, ...] | None]:
        """The objects with it as their value, and the `values` by which `describe` says it.

        Of an object that the table lacks, as after an edit by hand: "", or 0.
        """
        own = [self.words.get(int(one), "") for one in ids]
        if not self.column:
            return objects, None
        if self.column == "value":
            return with_values(objects, np.array([int(one or 0) for one in own], np.int64)), "int64"
        names = tuple(sorted(set(own)))
        return with_values(objects, np.array([names.index(one) + 1 for one in own])), names


def classes_in(table: str) -> ObjectClasses:
    """What the table at `table` says; VolumeError where it is none."""
    if not exists(table):
        return ObjectClasses("", {})
    with understanding(
        VolumeError, f"{table} is no table of objects ({{}}); make the labels again"
    ):
        rows = csv.DictReader(read_file(table).decode().splitlines())
        column = next((one for one in COLUMNS if one in (rows.fieldnames or ())), "")
        return ObjectClasses(
            column, {int(row["id"]): row[column] for row in rows} if column else {}
        )
