"""Which edits an output has, which it is to have, and what of it is therefore stale.

An output (the edited volume, its tables, its meshes) keeps a note of the edits that it has for
sure, and of those that are in doubt: work on them was begun. Before anything is written, every edit
in which the output and its aim differ is noted as in doubt; once all is written, the aim is noted.
So whatever is killed, and whatever is edited or undone before it goes on, no stale block passes.

    has 1 2      aim 1 3      in doubt 2 3      blocks in the boxes of 2 and 3 are done again

`has` is null until the output was complete once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from volproc.errors import VolprocError
from volproc.faults import MALFORMED
from volproc.grid.blocks import Block, Tiling
from volproc.grid.box import Box, Shape, each
from volproc.stages.edits.edit import Edit
from volproc.stages.edits.edit_log import EditLog, read_edit_log
from volproc.volume.access import exists, remove_file, url_from
from volproc.volume.file_io import read_file, write_file
from volproc.volume.metadata import Level, VolumeInfo


@dataclass(frozen=True)
class Stale:
    """Blocks of a step that are done again though they are recorded (`Step.writes`)."""

    indices: frozenset[int]

    def lost(self, blocks: Iterable[Block]) -> set[int]:
        """Those of `blocks`."""
        return {block.index for block in blocks} & self.indices


@dataclass(frozen=True)
class History:
    """The edits that an output is to have: `numbers` of a log, on the labels `base`.

    `base` is the fingerprint of the labels without edits.
    """

    log: EditLog
    numbers: tuple[int, ...]
    base: str

    def doubtful(self, note: str) -> tuple[Edit, ...]:
        """The edits in doubt of the output whose note is at `note`, which is then marked so."""
        found = noted(note)
        had, doubt = found.get("has"), set(found.get("doubt", ()))
        doubt |= set(had or ()) ^ set(self.numbers)
        self._write(note, had, doubt)
        return tuple(self.log.edits[number] for number in sorted(doubt))

    def note_done(self, note: str) -> None:
        """Note that the output has all edits, and none is in doubt."""
        self._write(note, self.numbers, set())

    def _write(self, note: str, had: Sequence[int] | None, doubt: set[int]) -> None:
        content = {"log": self.log.id, "has": had, "doubt": sorted(doubt)}
        write_file(note, json.dumps(content).encode())


def noted(note: str) -> dict[str, Any]:
    """What a note says; empty where there is none."""
    try:
        return dict(json.loads(read_file(note))) if exists(note) else {}
    except MALFORMED:
        return {"log": "damaged"}  # belongs to no history


def forget_note(note: str) -> None:
    """Drop a note: the output has no edits."""
    remove_file(note)


def belongs_to(note: str, history: History | None) -> bool:
    """Whether an output with this note, or none, is of the same labels with other edits at most."""
    found = noted(note)
    return not found or (history is not None and found.get("log") == history.log.id)


def history_of(labels: VolumeInfo) -> History | None:
    """The edits that edited labels have; None for other labels, and where their log is gone."""
    numbers = labels.provenance.get("edits")
    recipe = labels.provenance.get("recipe", {})
    place = recipe.get("places", {}).get("edits")
    if numbers is None or not place:
        return None
    try:
        log = read_edit_log(url_from(place, labels.url))
    except VolprocError:
        return None
    known = log.id == labels.provenance.get("edits_id") and set(numbers) <= set(log.edits)
    return History(log, tuple(numbers), str(recipe["inputs"]["labels"])) if known else None


def stale_blocks(
    tiling: Tiling, edits: Iterable[Edit], finest: Level, *, level: Level | None = None
) -> Stale:
    """Blocks of a level, by default the finest, that look at a voxel in the box of an edit."""
    level = level or finest
    factor = each(lambda n, m: -(-n // m), finest.shape, level.shape)
    boxes = (_coarser(edit.box, factor).grow(tiling.halo) for edit in edits)
    return Stale(frozenset(block.index for box in boxes for block in tiling.over(box)))


def _coarser(box: Box, factor: Shape) -> Box:
    """Voxels of a coarser level around a box, one more on each side: levels are rounded."""
    if factor == (1, 1, 1):
        return box
    start = each(lambda a, f: a // f, box.start, factor)
    return Box(start, each(lambda b, f: -(-b // f), box.stop, factor)).grow((1, 1, 1))


def touched_by(edits: Iterable[Edit]) -> set[int]:
    """Ids of all objects that some edits changed."""
    return {identifier for edit in edits for identifier in edit.touched}
