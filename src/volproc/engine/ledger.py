"""The ledger of a step: one line per finished block, written by the client only.

A block's line is written after its voxels, so a block without a line is simply done again. The
first line has the step's digest: with other inputs or options the ledger starts from scratch.

    {"digest": "5e1f...", "blocks": 96}
    {"block": 0, "record": {"voxels": 33554432, ...}}
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from volproc.engine.records import record_log
from volproc.errors import LedgerError
from volproc.faults import MALFORMED, understanding


class Ledger:
    """Records of the blocks of one step, stored at `url` (JSON lines)."""

    def __init__(self, url: str | Path, *, digest: str, blocks: int) -> None:
        self.url = url
        self.records: dict[int, Any] = {}
        self._lines = record_log(url)
        head = {"digest": digest, "blocks": blocks}
        lines = self._lines.read()
        damaged = f"{url} is damaged ({{}}); remove it and run the same command again: the step is "
        with understanding(LedgerError, f"{damaged}done again"):
            found = [json.loads(line) for line in lines]
            fits = bool(found) and found[0] == head
            records = [_recorded(line, blocks) for line in found[1:]] if fits else []
        self.records = dict(records)
        if not fits:
            self._lines.begin(json.dumps(head))

    def add(self, block: int, record: Any) -> None:
        """Record that `block` is done; TypeError for a record that JSON cannot represent."""
        line = json.dumps({"block": block, "record": record})
        self._lines.append(line)
        # as it will be read back: tuples become lists, whole-number keys become words
        self.records[block] = json.loads(line)["record"]

    def drop(self, blocks: Iterable[int]) -> None:
        """Forget that `blocks` are done; when they are done again, the later record counts."""
        for block in blocks:
            self.records.pop(block, None)

    def flush(self) -> None:
        """Write all records that still wait."""
        self._lines.flush()


def _recorded(line: Mapping[str, Any], blocks: int) -> tuple[int, Any]:
    """A block and its record; ValueError for a block that the step does not have."""
    block = line["block"]
    if type(block) is not int or not 0 <= block < blocks:
        raise ValueError(f"a line of block {block!r}, expected 0 to {blocks - 1}")
    return block, line["record"]


def recorded_blocks(folder: str | Path, step: str, *, digest: str) -> tuple[int, ...]:
    """Blocks of `step` that are recorded under `digest`; a read-only look."""
    try:
        found = [json.loads(line) for line in record_log(ledger_path(folder, step)).peek()]
        if not found or found[0].get("digest") != digest:
            return ()
        return tuple(dict(_recorded(line, found[0]["blocks"]) for line in found[1:]))
    except (LedgerError, *MALFORMED):  # the step itself will say so
        return ()


def forget(folder: str | Path, step: str) -> None:
    """Drop the ledger of a step, before its output is remade."""
    record_log(ledger_path(folder, step)).forget()


def ledger_path(folder: str | Path, step: str) -> str:
    """Where the ledger of `step` is.

    >>> ledger_path("s3://bucket/run", "pyramid labels/nuclei 1")
    's3://bucket/run/pyramid-labels-nuclei-1.jsonl'
    """
    return f"{folder}/{re.sub(r'[^A-Za-z0-9_.]+', '-', step)}.jsonl"


def digest(*things: Any) -> str:
    """A short name for everything in `things`: equal things, equal name, in every process.

    >>> digest({"a": 1, "b": (2, 3)}) == digest({"b": [2, 3], "a": 1})
    True
    """
    text = json.dumps(things, default=plain, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain(thing: Any) -> Any:
    """Options, dataclasses and paths as JSON can represent them; TypeError for anything else."""
    if isinstance(thing, BaseModel):
        return thing.model_dump(mode="json")
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return dataclasses.asdict(thing)
    if isinstance(thing, Path):
        return str(thing)
    raise TypeError(f"no digest of a {type(thing).__name__}")
