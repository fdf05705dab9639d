"""Where lines are kept: appended to a local file, or in numbered objects at any fsspec URL.

Object stores cannot append. There the lines of a run go to one object, which is written again
with more of them, at most every two seconds; a killed run loses those of its last seconds only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from fsspec.implementations.local import LocalFileSystem

from volproc import lease
from volproc.errors import LedgerError
from volproc.faults import renamed
from volproc.location import filesystem_of
from volproc.retry import PatientFile, patient, patiently

PATIENCE_S = 2.0
"""Lines wait at most until the first one that comes so long after the last writing."""
OBJECT_BYTES = 2**18
"""An object this long is left alone, and the next one begun."""


class Lines(Protocol):
    """Lines of text in the order in which they came. LedgerError where the place does not do."""

    def read(self) -> list[str]:
        """All whole lines; none where nothing was begun."""

    def peek(self) -> list[str]:
        """The same, and what a killed writer left is not touched: it may be at work."""

    def begin(self, first: str) -> None:
        """Drop everything and start with a line."""

    def append(self, line: str) -> None:
        """Keep a line more; elsewhere than here perhaps not at once."""

    def flush(self) -> None:
        """Make sure that every line is kept."""

    def forget(self) -> None:
        """Drop everything."""


def record_log(url: str | Path) -> Lines:
    """The lines called `url`: the file of that name here, or the objects below it elsewhere."""
    if "://" not in str(url):
        return FileLog(Path(url))
    with recording(str(url)):
        filesystem, path = filesystem_of(str(url))
    return FileLog(Path(path)) if isinstance(filesystem, LocalFileSystem) else Objects(str(url))


@contextmanager
def recording(where: str | Path) -> Iterator[None]:
    """What the file system raises becomes a LedgerError that names the record."""
    try:
        yield
    except Exception as error:
        way_out = "mend that and run the same command again: finished blocks are kept"
        line = renamed(
            f"cannot write the run's record {where}", error, LedgerError, otherwise=way_out
        )
        if line is error:
            raise
        raise line from error


class FileLog:
    """A file; every line is on its way to the disk when `append` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @patient
    def read(self) -> list[str]:
        """Lines that were written to their end; a killed writer may leave half of one."""
        with recording(self.path):
            if not self.path.exists():
                return []
            text = self.path.read_text()
            whole, _, torn = text.rpartition("\n")
            if torn:  # cut it off: the next line must not be glued to it
                os.truncate(self.path, len(whole.encode()) + 1 if whole else 0)
        return whole.splitlines()

    @patient
    def peek(self) -> list[str]:
        """Lines that were written to their end."""
        with recording(self.path):
            if not self.path.exists():
                return []
            return self.path.read_text().rpartition("\n")[0].splitlines()

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
        """Append to the file; a line that fails halfway is written again over what there is."""
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
        """Nothing waits."""

    @patient
    def forget(self) -> None:
        """Remove the file."""
        lease.require()
        with recording(self.path):
            self.path.unlink(missing_ok=True)


class Objects:
    """NAME/000000.jsonl, NAME/000001.jsonl, ...: read in that order, each taken whole or not."""

    def __init__(self, url: str) -> None:
        self.url = url.removesuffix(".jsonl")
        with recording(self.url):
            self._filesystem, self._folder = filesystem_of(self.url)
            names = self._names()
        self._number = 1 + int(Path(names[-1]).stem) if names else 0
        self._lines: list[str] = []
        self._waiting = False
        self._written = -PATIENCE_S

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
        """Keep the line, and write what waits if the last time was two seconds ago."""
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
        """Remove the objects, the first one first: the others mean nothing without it."""
        lease.require()
        with recording(self.url):
            for name in self._names():
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
