"""Files from a server into a folder: in parallel, checked, and going on where they broke off."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, replace

from volproc.errors import IngestError
from volproc.stages.ingest.empiar.record import (
    Fetched,
    FolderError,
    writing,
)
from volproc.stages.ingest.empiar.retries import (
    Answer,
    BrokenOff,
    RemoteFile,
    seconds,
)
from volproc.stages.ingest.empiar.servers import Archive
from volproc.stages.ingest.options import FetchOptions

PARTIAL = ".partial"
TOLD_BYTES = 4 * 2**20
"""A watcher hears of every file that ends, and in between after as many bytes."""


@dataclass(frozen=True)
class FetchProgress:
    """How far a transfer is; files and bytes of earlier runs count as done."""

    files: int
    files_total: int
    bytes: int
    bytes_total: int
    """As far as sizes are known."""


Watch = Callable[[FetchProgress], None]


def fetch_files(
    files: Sequence[RemoteFile],
    folder: str,
    options: FetchOptions,
    *,
    watch: Watch | None = None,
) -> tuple[RemoteFile, ...]:
    """The files as they now lie in `folder`, each at its path; complete ones are left as they are.

    `options.connections` at once. One that breaks off goes on from there, after growing pauses. If
    some fail for good the others still come, then IngestError names the first; what came of it
    stays as PATH.partial, and another call goes on. `watch` is called from several threads, one at
    a time.
    """
    tally = Tally(files, watch)
    with Archive(options) as archive, Fetched(folder) as fetched:
        fetch = Fetch(archive, fetched, tally)
        with ThreadPoolExecutor(options.connections) as pool:
            coming = [pool.submit(fetch, file) for file in files]
            try:
                _await(coming)
            except BaseException:  # a folder that cannot be written, or Ctrl-C
                pool.shutdown(wait=False, cancel_futures=True)
                archive.patience.stop()
                raise
    failed = [error for one in coming if isinstance(error := one.exception(), IngestError)]
    if failed:
        more = f" ({len(failed)} of {len(files)} files failed)" if len(failed) > 1 else ""
        raise IngestError(f"{failed[0]}{more}") from failed[0]
    return tuple(one.result() for one in coming)


def _await(coming: Sequence[Future[RemoteFile]]) -> None:
    for one in as_completed(coming):
        error = one.exception()
        if error and (isinstance(error, FolderError) or not isinstance(error, IngestError)):
            raise error


class Tally:
    """Counts files and bytes of a transfer for its watcher. Thread-safe."""

    def __init__(self, files: Sequence[RemoteFile], watch: Watch | None) -> None:
        self._watch = watch
        self._lock = threading.Lock()
        self._expected = {file.path: file.bytes or 0 for file in files}
        self._there: dict[str, int] = {}
        self._done: set[str] = set()
        self._untold = 0

    def at(self, path: str, nbytes: int, *, done: bool = False) -> None:
        """`nbytes` of a file are there."""
        if self._watch is None:
            return
        with self._lock:
            self._untold += abs(nbytes - self._there.get(path, 0))
            self._there[path] = nbytes
            self._expected[path] = max(nbytes, self._expected.get(path, 0))
            if done:
                self._done.add(path)
            if done or self._untold >= TOLD_BYTES:
                self._untold = 0
                self._watch(
                    FetchProgress(
                        files=len(self._done),
                        files_total=len(self._expected),
                        bytes=sum(self._there.values()),
                        bytes_total=sum(self._expected.values()),
                    )
                )


@dataclass(frozen=True)
class Fetch:
    """Brings one file: call it with the file as listed. Thread-safe."""

    archive: Archive
    fetched: Fetched
    tally: Tally

    def __call__(self, file: RemoteFile) -> RemoteFile:
        """The file as it came, in its place and recorded; IngestError, one line, if it did not."""
        came = self.fetched.complete(file)
        if came is None:
            under_way = _UnderWay(file, self)
            came = self.archive.patience.insist(file.url, under_way.attempt)
            under_way.finish(came)
        self.tally.at(file.path, came.bytes or 0, done=True)
        return came


class _UnderWay:
    """A file as far as it came: the part on disk, and the state of the file it belongs to."""

    def __init__(self, listed: RemoteFile, fetch: Fetch) -> None:
        self._listed = listed
        self._fetch = fetch
        self._place = fetch.fetched.place(listed)
        self._partial = self._place + PARTIAL
        self._begun = fetch.fetched.begun(listed)

    def attempt(self) -> RemoteFile:
        """The file, all of it on disk; BrokenOff if it needs another attempt."""
        begun = self._begun
        start = _size(self._partial) if begun else 0
        if begun and begun.bytes is not None and start >= begun.bytes:
            if start == begun.bytes:  # killed between its last byte and its name
                return begun
            start = 0
        with self._fetch.archive.open(begun or self._listed, start) as answer:
            if begun is None or answer.start == 0:
                begun = self._begin(answer.file)
            nbytes = self._receive(answer, begun)
        return replace(begun, bytes=nbytes, slack=0)

    def finish(self, came: RemoteFile) -> None:
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
        self._fetch.fetched.add("done", came)

    def _begin(self, found: RemoteFile) -> RemoteFile:
        listed = self._listed
        if not listed.agrees(found) and listed.same(replace(found, bytes=None)):
            raise IngestError(
                f"{listed.url}: the server sends {found.bytes} bytes, but its listing says "
                f"{listed.bytes} of the same file; nothing is kept: try again later"
            )
        begun = replace(found, md5=listed.md5 or found.md5)
        with writing(self._partial):
            os.makedirs(os.path.dirname(self._partial), exist_ok=True)
            with open(self._partial, "wb"):  # nothing of another state may stay
                pass
        self._fetch.fetched.add("begun", begun)
        self._begun = begun
        return begun

    def _receive(self, answer: Answer, file: RemoteFile) -> int:
        at = answer.start
        try:
            with writing(self._partial), open(self._partial, "r+b") as out:
                out.seek(at)
                for chunk in answer.chunks:
                    out.write(chunk)
                    at += len(chunk)
                    self._fetch.tally.at(file.path, at)
                    if file.bytes is not None and at > file.bytes:
                        raise IngestError(self._too_long(file))
                out.flush()
                os.fsync(out.fileno())
            if file.bytes is not None and at < file.bytes:
                raise BrokenOff("the server ended")
        except BrokenOff as error:
            reason = f"{error} at {at} of {'?' if file.bytes is None else file.bytes} bytes"
            gained = at - answer.start
            raise BrokenOff(reason, pause_s=error.pause_s, gained=gained) from error
        return at

    def _too_long(self, file: RemoteFile) -> str:
        with suppress(OSError):
            os.remove(self._partial)
        return (
            f"{file.url}: the server sends more than the {file.bytes} bytes it promised; nothing "
            "is kept: try again later"
        )


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0


def _md5(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
