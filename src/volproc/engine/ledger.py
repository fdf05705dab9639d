"""The record of what is done: one line per block of a step, written by the client only.

A block's line is written after its voxels, so a block without a line is simply done again.
The first line holds the step's digest: other inputs or options, and the record starts anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from volproc.engine.records import record_log
from volproc.errors import LedgerError


class Ledger:
    """Records of the blocks of one step, kept at `url` (JSON lines)."""

    def __init__(self, url: str | Path, *, digest: str, blocks: int) -> None:
        self.url = url
        self.records: dict[int, Any] = {}
        self._lines = record_log(url)
        head = {"digest": digest, "blocks": blocks}
        found = [self._parsed(line) for line in self._lines.read()]
        if found and found[0] == head:
            self.records = {line["block"]: line["record"] for line in found[1:]}
        else:
            self._lines.begin(json.dumps(head))

    def add(self, block: int, record: Any) -> None:
        """Note that `block` is done. JSON gives back what was put in, or this refuses it."""
        line = json.dumps({"block": block, "record": record})
        self._lines.append(line)
        # as it will be read back: tuples become lists, whole-number keys become words
        self.records[block] = json.loads(line)["record"]

    def drop(self, blocks: Iterable[int]) -> None:
        """Forget that `blocks` are done; when they are done again, the later record counts."""
        for block in blocks:
            self.records.pop(block, None)

    def flush(self) -> None:
        """Make sure that every record is kept."""
        self._lines.flush()

    def _parsed(self, line: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError as error:
            raise LedgerError(
                f"{self.url} is damaged; remove it and run the same command again: the step is "
                "redone"
            ) from error
        return found


def recorded_blocks(folder: str | Path, step: str, *, digest: str) -> tuple[int, ...]:
    """Blocks of `step` that are recorded under `digest`; nothing is changed."""
    try:
        found = [json.loads(line) for line in record_log(ledger_path(folder, step)).peek()]
    except json.JSONDecodeError:
        return ()
    if not found or found[0].get("digest") != digest:
        return ()
    return tuple({line["block"] for line in found[1:]})


def forget(folder: str | Path, step: str) -> None:
    """Drop the record of a step, before its output is made anew."""
    record_log(ledger_path(folder, step)).forget()


def ledger_path(folder: str | Path, step: str) -> str:
    """Where the record of `step` is kept.

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
    """What JSON can hold of options, dataclasses and paths; TypeError for anything else."""
    if isinstance(thing, BaseModel):
        return thing.model_dump(mode="json")
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return dataclasses.asdict(thing)
    if isinstance(thing, Path):
        return str(thing)
    raise TypeError(f"no digest of a {type(thing).__name__}")
