"""Logs of lines: a local file that is appended to, or numbered objects at any fsspec URL.

Object stores cannot append. There the lines of a run go to one object, which is rewritten with more
of them, at most every two seconds; a killed run loses only the lines of its last seconds.

    s3://bucket/run/ledger/predict/000000.jsonl    of the first run, as it was killed
                                  /000001.jsonl    of this run: rewritten, until it is 256 kB long
                                  /000002.jsonl    ... and the next one begun
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from volproc import lease
from volproc.errors import LedgerError
from volproc.faults import renaming
from volproc.location import filesystem_of
from volproc.retry import PatientFile, patient, patiently

PATIENCE_S = 2.0
"""Lines wait for the first one that comes this long after the last write."""
OBJECT_BYTES = 2**18
"""An object this long is left alone, and the next one begun."""


def record_log(url: str | Path) -> RecordLog:
    """The log at `url`: a file on this machine, or the objects below it elsewhere."""
    if "://" not in str(url):
        return FileLog(Path(url))
    with recording(str(url)):
        filesystem, path = filesystem_of(str(url))
    return FileLog(Path(path)) if isinstance(filesystem, LocalFileSystem) else ObjectLog(str(url))


def recording(where: str | Path) -> AbstractContextManager[None]:
    """What the file system raises becomes a LedgerError that names the record."""
    way_out = "fix that and run the same command again: finished blocks are kept"
    return renaming(f"cannot write the run's record {where}", LedgerError, otherwise=way_out)


class FileLog:
    """A log in a file; when `append` returns the system has the line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def place(self) -> str:
        """Where it lies."""
        return str(self.path)

    @patient
    def read(self) -> list[str]:
        """Lines that were written to their end; half of one, left by a kill, is cut off."""
        with recording(self.path):
            whole, _, torn = self._text().rpartition("\n")
            if torn:  # or the next line would be glued to it
                os.truncate(self.path, len(whole.encode()) + 1 if whole else 0)
        return whole.splitlines()

    @patient
    def peek(self) -> list[str]:
        """The same, but nothing is cut off: the writer may still be at work."""
        with recording(self.path):
            return self._text().rpartition("\n")[0].splitlines()

    def _text(self) -> str:
        return self.path.read_text() if self.path.exists() else ""

    @patient
    def begin(self, first: str) -> None:
        """Replace the file by one of a single line."""
        lease.require()
        with recording(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self.path.with_suffix(".new")
            fresh.write_text(first + "\n")
            os.replace(fresh, self.path)

    def append(self, line: str) -> None:
        """Append to the file; a line that fails halfway is written again in its place."""
        lease.require()
        with recording(self.path):
            self._touch()
            with PatientFile(self.path.open, "r+b", buffering=0) as file:
                file.seek(0, os.SEEK_END)
                file.write(f"{line}\n".encode())

    @patient
    def _touch(self) -> None:
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch()

    def flush(self) -> None:
        """Nothing: no line waits."""

    @patient
    def cut(self, lines: int) -> None:
        """Keep the first lines only."""
        lease.require()
        with recording(self.path):
            if self.path.exists():
                fresh = self.path.with_suffix(".new")
                kept = self._text().splitlines(keepends=True)[:lines]
                fresh.write_text("".join(kept))
                os.replace(fresh, self.path)

    @patient
    def forget(self) -> None:
        """Remove the file."""
        lease.require()
        with recording(self.path):
            self.path.unlink(missing_ok=True)


class ObjectLog:
    """NAME/000000.jsonl, NAME/000001.jsonl, ..., read in that order; each is there whole or not."""

    def __init__(self, url: str) -> None:
        self.url = url.removesuffix(".jsonl")
        with recording(self.url):
            self._filesystem, self._folder = filesystem_of(self.url)
            names = self._names()
        self._number = _number(names[-1]) + 1 if names else 0
        self._lines: list[str] = []
        self._waiting = False
        self._written = -PATIENCE_S

    @property
    def place(self) -> str:
        """Where its objects lie."""
        return self.url

    def read(self) -> list[str]:
        """The lines of all objects."""
        with recording(self.url):
            texts = [self._text(name) for name in self._names()]
        return [line for text in texts for line in text.splitlines()]

    def peek(self) -> list[str]:
        """The lines of all objects."""
        return self.read()

    def begin(self, first: str) -> None:
        """Remove all objects, and write the first one."""
        self.forget()
        self._number, self._lines = 0, []
        self.append(first)
        self.flush()

    def append(self, line: str) -> None:
        """Add the line, and write all that wait if the last write was two seconds ago."""
        self._lines.append(line)
        self._waiting = True
        if time.monotonic() - self._written >= PATIENCE_S:
            self.flush()

    @patient
    def flush(self) -> None:
        """Write the object of this run again, with all its lines."""
        if not self._waiting:
            return
        lease.require()
        content = "".join(f"{line}\n" for line in self._lines).encode()
        with recording(self.url):
            self._filesystem.pipe_file(f"{self._folder}/{self._number:06}.jsonl", content)
        self._waiting, self._written = False, time.monotonic()
        if len(content) >= OBJECT_BYTES:
            self._number, self._lines = self._number + 1, []

    @patient
    def forget(self) -> None:
        """Remove the objects, first the first one: the others mean nothing without it."""
        lease.require()
        with recording(self.url):
            self._remove(self._names())

    @patient
    def cut(self, lines: int) -> None:
        """Keep the first lines only, as the first object.

        Killed before the others are removed, the first lines are still the same.
        """
        kept = self.read()[:lines]
        self._number, self._lines, self._waiting = 0, kept, bool(kept)
        self.flush()
        with recording(self.url):
            self._remove(name for name in self._names() if not kept or _number(name))
        self._number, self._lines = int(bool(kept)), []

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            with suppress(FileNotFoundError):  # removed by a try that seemed to fail
                patiently(partial(self._filesystem.rm_file, name))

    @patient
    def _text(self, name: str) -> str:
        content: bytes = self._filesystem.cat_file(name)
        return content.decode()

    @patient
    def _names(self) -> list[str]:
        self._filesystem.invalidate_cache()  # another machine may have written since
        try:
            found = self._filesystem.ls(self._folder, detail=False)
        except FileNotFoundError:
            return []
        return sorted(name for name in found if Path(name).stem.isdigit())


def _number(name: str) -> int:
    return int(Path(name).stem)


RecordLog = FileLog | ObjectLog
"""Lines of text, in order. LedgerError where they cannot be read or written."""
