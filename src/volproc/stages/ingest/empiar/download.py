"""One file from a server into a folder: checked, and continued where it broke off."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from volproc.errors import IngestError
from volproc.stages.ingest.empiar.record import Record, writing
from volproc.stages.ingest.empiar.remote_file import RemoteFile, Response, seconds
from volproc.stages.ingest.empiar.retries import ConnectionBroken
from volproc.stages.ingest.empiar.servers import Servers

PARTIAL = ".partial"
REPORTED_BYTES = 4 * 2**20
"""A watcher is called for every file that ends, and in between after so many bytes."""


@dataclass(frozen=True)
class FetchProgress:
    """How far a transfer is; files and bytes of earlier runs count as done."""

    files: int
    files_total: int
    bytes: int
    bytes_total: int
    """As far as sizes are known."""


Watch = Callable[[FetchProgress], None]


class Tally:
    """Counts files and bytes of a transfer for its watcher. Thread-safe."""

    def __init__(self, files: Sequence[RemoteFile], watch: Watch | None) -> None:
        self._watch = watch
        self._lock = threading.Lock()
        self._expected = {file.path: file.bytes or 0 for file in files}
        self._there = dict.fromkeys(self._expected, 0)
        self._done: set[str] = set()
        self._unreported = 0

    def at(self, path: str, nbytes: int, *, done: bool = False) -> None:
        """`nbytes` of a file are there."""
        if self._watch is None:
            return
        with self._lock:
            self._unreported += abs(nbytes - self._there[path])
            self._there[path] = nbytes
            self._expected[path] = max(nbytes, self._expected[path])
            if done:
                self._done.add(path)
            if done or self._unreported >= REPORTED_BYTES:
                self._unreported = 0
                there, expected = sum(self._there.values()), sum(self._expected.values())
                self._watch(FetchProgress(len(self._done), len(self._expected), there, expected))


class Download:
    """A file as far as it has been downloaded: the part on disk, and the state it belongs to."""

    def __init__(self, listed: RemoteFile, servers: Servers, record: Record, tally: Tally) -> None:
        self._listed = listed
        self._servers = servers
        self._record = record
        self._tally = tally
        self._place = record.place(listed)
        self._partial = self._place + PARTIAL
        self._begun = record.begun(listed)

    def run(self) -> RemoteFile:
        """The file as it came, in its place and recorded; IngestError, one line, if it did not."""
        came = self._record.complete(self._listed)
        if came is None:
            came = self._servers.retries.run(self._listed.url, self._attempt)
            self._finish(came)
        self._tally.at(came.path, came.bytes or 0, done=True)
        return came

    def _attempt(self) -> RemoteFile:
        """The file, all of it on disk; ConnectionBroken if it needs another try."""
        begun = self._begun
        start = _size(self._partial) if begun else 0
        if begun and begun.bytes is not None and start >= begun.bytes:
            if start == begun.bytes:  # killed between its last byte and its name
                return begun
            start = 0
        file = begun or self._listed
        with self._servers.of(file.url).open(file, start) as response:
            if begun is None or response.start == 0:
                begun = self._begin(response.file)
            nbytes = self._receive(response, begun)
        return replace(begun, bytes=nbytes, slack=0)

    def _finish(self, came: RemoteFile) -> None:
        """Check the whole file and give it its name."""
        with writing(self._place):
            if came.md5 and (found := _md5(self._partial)) != came.md5:
                os.remove(self._partial)
                raise IngestError(
                    f"{came.url} came with md5 {found}, expected {came.md5}; nothing of it is "
                    "kept: run the same command again"
                )
            os.replace(self._partial, self._place)
            if came.date:
                os.utime(self._place, (seconds(came.date),) * 2)
        self._record.add("done", came)

    def _begin(self, found: RemoteFile) -> RemoteFile:
        listed = self._listed
        if not listed.agrees(found) and listed.same(replace(found, bytes=None)):
            raise IngestError(
                f"{listed.url}: the server sends {found.bytes} bytes, but its listing says "
                f"{listed.bytes} of the same file; nothing is kept: try again later"
            )
        self._begun = begun = replace(found, md5=listed.md5 or found.md5)
        with writing(self._partial):
            os.makedirs(os.path.dirname(self._partial), exist_ok=True)
            with open(self._partial, "wb"):  # nothing of another state may stay
                pass
        self._record.add("begun", begun)
        return begun

    def _receive(self, response: Response, file: RemoteFile) -> int:
        at = response.start
        try:
            with writing(self._partial), open(self._partial, "r+b") as out:
                out.seek(at)
                for chunk in response.chunks:
                    out.write(chunk)
                    at += len(chunk)
                    self._tally.at(file.path, at)
                    if file.bytes is not None and at > file.bytes:
                        raise self._too_long(file)
                out.flush()
                os.fsync(out.fileno())
            if file.bytes is not None and at < file.bytes:
                raise ConnectionBroken("the server ended")
        except ConnectionBroken as error:
            reason = f"{error} at {at} of {'?' if file.bytes is None else file.bytes} bytes"
            gained = at - response.start
            raise ConnectionBroken(reason, pause_s=error.pause_s, gained=gained) from error
        return at

    def _too_long(self, file: RemoteFile) -> IngestError:
        with suppress(OSError):
            os.remove(self._partial)
        return IngestError(
            f"{file.url}: the server sends more than the {file.bytes} bytes it stated; nothing is "
            "kept: try again later"
        )


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0


def _md5(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
