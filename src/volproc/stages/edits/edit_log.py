"""The append-only file of a run's edits: who, when, why, what. Nothing in it is ever changed.

    {"edits_of": "9f0c...", "recipe": "51d2...", "id": "c0ffee...", "largest": 41}
    {"who": "ada", "when": "2026-03-01T10:00:00+00:00", "edits": [{"number": 1, ...}]}
    {"who": "ada", "when": "2026-03-01T10:02:11+00:00", "undo": 1}

The first line names the labels that the edits are of, and their largest id. A command appends one
line, so a kill leaves all of its edits or none.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any
from uuid import uuid4

from volproc.engine.ledger import digest
from volproc.engine.records import record_log
from volproc.errors import ConfigError, LedgerError
from volproc.faults import MALFORMED, understanding
from volproc.stages.edits.edit import Edit, edit_of
from volproc.stages.edits.seeded_split import Parts
from volproc.stages.objects.array_files import packed, read_packed
from volproc.volume.file_io import write_file
from volproc.volume.fingerprint import fingerprint
from volproc.volume.metadata import VolumeInfo

NAME = "edits.jsonl"
"""In a run's folder."""


@dataclass(frozen=True)
class EditLog:
    """All lines as they are now; `append` and `undo` return the log with one more."""

    url: str
    head: dict[str, Any] = field(default_factory=dict)
    lines: tuple[dict[str, Any], ...] = ()

    @property
    def id(self) -> str:
        """Names this file: another one about the same labels has another."""
        return str(self.head.get("id", ""))

    @cached_property
    def edits(self) -> dict[int, Edit]:
        """Every edit that ever was, by number."""
        records = (record for line in self.lines for record in line.get("edits", ()))
        return {edit.number: edit for edit in map(edit_of, records)}

    @cached_property
    def active(self) -> tuple[Edit, ...]:
        """Those that count, in their order."""
        undone = {line["undo"] for line in self.lines if "undo" in line}
        return tuple(edit for number, edit in self.edits.items() if number not in undone)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of those that count."""
        return tuple(edit.number for edit in self.active)

    @property
    def digest(self) -> str:
        """Names the edits that count."""
        return digest(self.id, self.numbers)

    @property
    def largest(self) -> int:
        """The largest id that ever was, also of edits that are undone."""
        made = (identifier for edit in self.edits.values() for identifier in edit.new_ids)
        return max([int(self.head.get("largest", 0)), *made])

    def require_made_for(self, labels: VolumeInfo) -> None:
        """ConfigError where the edits are of other labels than these, which may be planned only."""
        planned = bool(labels.provenance) and not labels.provenance.get("finished")
        names = names_of(labels)
        key = "recipe" if planned else "edits_of"
        if self.head and self.head.get(key) != names[key]:
            raise ConfigError(
                f"{self.url} has edits of other labels than {labels.url} holds or will hold: they "
                "were made again, or changed, since; move the file away to begin with none, or "
                "make the labels as they were"
            )

    def append(self, edits: Sequence[Edit]) -> EditLog:
        """The log after one line with `edits`."""
        return self._with({"edits": [edit.record() for edit in edits]})

    def undo(self, number: int, *, why: str = "") -> EditLog:
        """The log after one line that undoes an edit (0: the last one that counts).

        ConfigError where there is none, or a later one depends on it.
        """
        if not self.active:
            raise ConfigError(f"{self.url} has no edit to undo")
        chosen = next((e for e in self.active if e.number == number), None)
        chosen = self.active[-1] if not number else chosen
        if chosen is None:
            raise ConfigError(f"edit {number} is not one of those that count; see --list")
        for later in self.active[::-1]:
            if later.number > chosen.number and later.depends_on(chosen):
                raise ConfigError(
                    f"edit {later.number} ({later}) changed the same objects, or painted the same "
                    f"place, after edit {chosen.number}; undo that first"
                )
        return self._with({"undo": chosen.number, **({"why": why} if why else {})})

    def begun_for(self, labels: VolumeInfo, largest: int) -> EditLog:
        """The log with its first line, which is written if there is none."""
        if self.head:
            return self
        head = {**names_of(labels), "id": uuid4().hex, "largest": largest}
        record_log(self.url).begin(json.dumps(head))
        return EditLog(self.url, head)

    def _with(self, what: dict[str, Any]) -> EditLog:
        when = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.loads(json.dumps({"who": _who(), "when": when, **what}))
        log = record_log(self.url)
        log.read()  # half a line, left by a kill, is cut off
        log.append(json.dumps(line))
        log.flush()
        return EditLog(self.url, self.head, (*self.lines, line))


def names_of(labels: VolumeInfo) -> dict[str, str]:
    """What labels are and what they were made from, in a word each."""
    recipe = dict(labels.provenance.get("recipe") or {})
    recipe.pop("places", None)
    planned = bool(labels.provenance) and not labels.provenance.get("finished")
    return {"edits_of": "" if planned else fingerprint(labels), "recipe": digest(recipe)}


def read_edit_log(url: str) -> EditLog:
    """The log at `url`, which need not be there; nothing is written. LedgerError if damaged."""
    with understanding(LedgerError, f"{url} is damaged ({{}}); restore it from a copy"):
        head, *lines = [json.loads(line) for line in record_log(url).peek()] or [{}]
        log = EditLog(url, head, tuple(lines))
        if log.edits or head:
            str(head["id"]), int(head["largest"]), log.active
    return log


def has_edits(url: str) -> bool:
    """Whether an edit was ever made there."""
    try:
        return bool(record_log(url).peek())
    except (LedgerError, *MALFORMED):
        return True  # whoever reads it will say what is wrong


@lru_cache(maxsize=8)
def edits_numbered(url: str, log_id: str, numbers: tuple[int, ...]) -> tuple[Edit, ...]:
    """Some edits of the log at `url`: tasks name them, workers read them once."""
    log = read_edit_log(url)
    if log.id != log_id:
        raise LedgerError(f"{url} is another file than when this work began; run the command again")
    return tuple(log.edits[number] for number in numbers)


def save_parts(log_url: str, number: int, parts: Parts) -> None:
    """Store the parts of split `number` beside the log, before its line is appended."""
    write_file(_parts_url(log_url, number), packed({"parts": parts}, digest=_key(number)))


@lru_cache(maxsize=4)
def stored_parts(log_url: str, log_id: str, edit: Edit) -> Parts:
    """The parts of a split, in its box."""
    return read_packed(_parts_url(log_url, edit.number), digest=_key(edit.number))["parts"]


def _parts_url(log_url: str, number: int) -> str:
    return f"{log_url.removesuffix('.jsonl')}.parts/{number}.split"


def _key(number: int) -> str:
    return f"split {number}"


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"
