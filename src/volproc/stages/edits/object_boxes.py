"""Which objects there are after some edits, and in which boxes of voxels they lie."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from volproc.errors import ConfigError, VolumeError
from volproc.faults import understanding
from volproc.grid.box import Box, each
from volproc.stages.edits.edit import Edit, union
from volproc.volume.access import exists
from volproc.volume.file_io import read_file


def boxes_in(table: str) -> dict[int, Box]:
    """The box of each object of a table that `volproc label` wrote; VolumeError without one."""
    if not exists(table):
        raise VolumeError(
            f"{table} is missing: edits need the table that `volproc label` writes beside its "
            "labels; make the labels again"
        )
    with understanding(
        VolumeError, f"{table} is no table of objects ({{}}); make the labels again"
    ):
        rows = csv.DictReader(read_file(table).decode().splitlines())
        return {int(row["id"]): _box(row) for row in rows}


def _box(row: Mapping[str, str]) -> Box:
    return Box(
        each(lambda axis: int(row[f"start_{axis}"]), "zyx"),
        each(lambda axis: int(row[f"stop_{axis}"]), "zyx"),
    )


@dataclass
class ObjectBoxes:
    """Boxes at first, and those that edits changed: never too small, at times too large."""

    first: Mapping[int, Box]
    _changed: dict[int, Box] = field(default_factory=dict)
    _gone: dict[int, Edit] = field(default_factory=dict)

    def after(self, edits: Iterable[Edit]) -> ObjectBoxes:
        """These, once some edits are counted too."""
        for edit in edits:
            self.count(edit)
        return self

    def of(self, identifier: int) -> Box:
        """The box of an object; ConfigError if there is none of that id."""
        if edit := self._gone.get(identifier):
            done = "merged it into" if edit.asked.do == "merge" else "deleted it"
            into = f" {edit.kept}" if edit.asked.do == "merge" else ""
            raise ConfigError(f"there is no object {identifier}: edit {edit.number} {done}{into}")
        found = self._changed.get(identifier) or self.first.get(identifier)
        if found is None:
            raise ConfigError(
                f"there is no object {identifier}; the table of objects lists those there are"
            )
        return found

    def count(self, edit: Edit) -> None:
        """Count one more edit."""
        asked = edit.asked
        if asked.do == "merge":
            self._changed[edit.kept] = union(*map(self.of, asked.objects))
        if asked.do == "split":
            ids = (edit.kept, *edit.new_ids)
            self._changed.update(zip(ids, edit.part_boxes, strict=True))
        if asked.do == "paint" and edit.kept:
            self._changed[edit.kept] = union(self.of(edit.kept), edit.box)
        self._gone.update(dict.fromkeys(edit.gone, edit))
