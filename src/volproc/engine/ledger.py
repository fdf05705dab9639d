"""The record of what is done: one file per step, one line per block, written by the client only.

A block's line is written after its voxels, so a block without a line is simply done again.
The first line holds the step's digest: other inputs or options, and the record starts anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from volproc.errors import LedgerError


class Ledger:
    """Records of the blocks of one step, kept in `path` (JSON lines)."""

    def __init__(self, path: Path, *, digest: str, blocks: int) -> None:
        self.path = path
        self._head = {"digest": digest, "blocks": blocks}
        self.records: dict[int, Any] = {}
        lines = list(_whole_lines(path))
        if lines and lines[0] == self._head:
            self.records = {line["block"]: line["record"] for line in lines[1:]}
        else:
            self._begin()

    def add(self, block: int, record: Any) -> None:
        """Note that `block` is done. JSON gives back what was put in, or this refuses it."""
        line = json.dumps({"block": block, "record": record})
        with recording(self.path), self.path.open("a") as file:
            file.write(line + "\n")
        # as it will be read back: tuples become lists, whole-number keys become words
        self.records[block] = json.loads(line)["record"]

    def _begin(self) -> None:
        with recording(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self.path.with_suffix(".new")
            fresh.write_text(json.dumps(self._head) + "\n")
            os.replace(fresh, self.path)


@contextmanager
def recording(path: Path) -> Iterator[None]:
    """What the file system raises becomes a LedgerError that names the record."""
    try:
        yield
    except OSError as error:
        raise LedgerError(
            f"cannot write the run's record {path}: {(error.strerror or str(error)).lower()}; mend "
            "that and run the same command again: finished blocks are kept"
        ) from error


def forget(folder: Path, step: str) -> None:
    """Drop the record of a step, before its output is made anew."""
    ledger_path(folder, step).unlink(missing_ok=True)


def ledger_path(folder: Path, step: str) -> Path:
    """Where the record of `step` is kept.

    >>> ledger_path(Path("run"), "pyramid labels/nuclei 1").name
    'pyramid-labels-nuclei-1.jsonl'
    """
    return folder / f"{re.sub(r'[^A-Za-z0-9_.]+', '-', step)}.jsonl"


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Lines that were written to their end; a killed writer may leave half of one."""
    if not path.exists():
        return
    text = path.read_text()
    whole, _, torn = text.rpartition("\n")
    if torn:  # cut it off: the next line must not be glued to it
        os.truncate(path, len(whole.encode()) + 1 if whole else 0)
    for line in whole.splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise LedgerError(
                f"{path} is damaged; remove it and run the same command again: the step is redone"
            ) from error


def digest(*things: Any) -> str:
    """A short name for everything in `things`: equal things, equal name, in every process.

    >>> digest({"a": 1, "b": (2, 3)}) == digest({"b": [2, 3], "a": 1})
    True
    """
    text = json.dumps(things, default=_plain, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(thing: Any) -> Any:
    if isinstance(thing, BaseModel):
        return thing.model_dump(mode="json")
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return dataclasses.asdict(thing)
    if isinstance(thing, Path):
        return str(thing)
    raise TypeError(f"no digest of a {type(thing).__name__}")
