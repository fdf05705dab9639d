"""The record of what was downloaded into a folder: one JSON line per file begun or done."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Literal, Self

from volproc.errors import IngestError
from volproc.stages.ingest.empiar.remote_file import RemoteFile, seconds

RECORD = ".volproc-fetch.jsonl"
State = Literal["begun", "done"]
Known = dict[str, tuple[State, RemoteFile]]


class FolderError(IngestError):
    """The folder cannot be written: no other file will fare better."""


class Record:
    """What is known of the files in `folder`, from this run and those before it.

    To add to it, enter it: a context manager that locks the folder for this process.
    Thread-safe. A file begun is recorded before its first byte, one that is done after its last:
    killed in between, the next run knows which state of the file the part on disk belongs to.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._path = os.path.join(folder, RECORD)
        self._lock = threading.Lock()
        self._known, _ = _read(self._path)

    def __enter__(self) -> Self:
        with writing(self._path):
            os.makedirs(self.folder, exist_ok=True)
            self._file = open(self._path, "ab")
        try:
            _lock(self._file.fileno(), self.folder)
            self._known, whole = _read(self._path)
            with writing(self._path):
                self._file.truncate(whole)  # no line may follow a killed writer's half one
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def place(self, file: RemoteFile) -> str:
        """Where the file is once it is complete."""
        return os.path.join(self.folder, *file.path.split("/"))

    def begun(self, file: RemoteFile) -> RemoteFile | None:
        """The state of the file that its part on disk belongs to, if `file` still is in it."""
        state, known = self._known.get(file.path, ("", file))
        return _relisted(known, file) if state == "begun" and known.same(file) else None

    def complete(self, file: RemoteFile) -> RemoteFile | None:
        """The file as it is in the folder, if that is whole and still what the server has.

        Known from the record, or from size and date, as other programs leave them.
        """
        try:
            found = os.stat(self.place(file))
        except OSError:
            return None
        state, known = self._known.get(file.path, ("", file))
        if state == "done" and found.st_size == known.bytes and known.same(file):
            return _relisted(known, file)
        dated = bool(file.date) and int(found.st_mtime) == seconds(file.date)
        exact = found.st_size == file.bytes and file.slack == 0
        return file if dated and exact and state != "begun" else None

    def changed(self, files: Sequence[RemoteFile]) -> tuple[str, ...]:
        """Paths of files that were downloaded once and now are others on the server."""
        known = ((file, self._known.get(file.path)) for file in files)
        return tuple(file.path for file, old in known if old and not old[1].same(file))

    def add(self, state: State, file: RemoteFile) -> None:
        """Record the file's state."""
        line = json.dumps({"state": state, **asdict(file)}) + "\n"
        with self._lock, writing(self._path):
            self._file.write(line.encode())
            self._file.flush()
            self._known[file.path] = state, file


@contextmanager
def writing(path: str) -> Iterator[None]:
    """What the file system raises becomes one line that names the path and the way out."""
    try:
        yield
    except OSError as error:
        raise FolderError(
            f"cannot write {path}: {(error.strerror or str(error)).lower()}; fix that and run the "
            "same command again: what has been downloaded is kept"
        ) from error


def _relisted(known: RemoteFile, file: RemoteFile) -> RemoteFile:
    """The state that is known, at the place where the listing has it now."""
    return replace(known, url=file.url, md5=file.md5 or known.md5)


def _lock(descriptor: int, folder: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise IngestError(
            f"another volproc is fetching into {folder}; wait for it, or choose another folder"
        ) from error
    except OSError:
        pass  # a file system without locks: there it is up to the user


def _read(path: str) -> tuple[Known, int]:
    """What the record states, and its length without a half line at its end."""
    known: Known = {}
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return known, 0
    whole = content.rfind(b"\n") + 1
    try:
        for line in map(json.loads, content[:whole].splitlines()):
            state: State = line.pop("state")
            known[line["path"]] = state, RemoteFile(**line)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise IngestError(
            f"{path} is damaged; remove it and run the same command again: files are then known by "
            "size and date"
        ) from error
    return known, whole
