"""A file on a server, and the patience that servers ask for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from volproc.errors import IngestError
from volproc.stages.ingest.voxel_source import Stamp

FIRST_PAUSE_S = 1.0
"""After the first failure; twice as long after each further one."""
MAX_PAUSE_S = 60.0
"""Pauses grow up to this."""
MAX_ASKED_S = 600.0
"""The longest pause a server may ask for (Retry-After) that is waited for."""
GAIN_BYTES = 8 * 2**20
"""An attempt that brought this much did not fail in vain: tries are counted anew."""

DATE = "%Y-%m-%dT%H:%M:%SZ"
"""How dates of files are written, always UTC."""

T = TypeVar("T")


@dataclass(frozen=True)
class RemoteFile:
    """A file of an entry, as its server describes it."""

    path: str
    """Inside the entry: data/Micrographs_ROI_00/slice_0001.dm4."""
    url: str
    bytes: int | None = None
    slack: int = 0
    """By how much `bytes` may be off: pages of an archive show rounded sizes."""
    date: str = ""
    """When it was changed, UTC: 2017-05-16T10:32:11Z."""
    etag: str = ""
    """The name the server gives this state of the file."""
    md5: str | None = None

    @property
    def stamp(self) -> Stamp:
        """Name, size and date for a source's identity."""
        return self.path.rpartition("/")[2], self.bytes or 0, self.date or self.etag

    def same(self, other: RemoteFile) -> bool:
        """Whether two looks at this path can be at one state of the file.

        Dates count before ETags: several machines behind one name may differ in the latter.
        """
        if self.date and other.date:
            return self.date == other.date and self.agrees(other)
        if self.etag and other.etag:
            return self.etag == other.etag and self.agrees(other)
        return self.agrees(other)

    def agrees(self, other: RemoteFile) -> bool:
        """Whether the sizes are equal, as far as they are known."""
        if self.bytes is None or other.bytes is None:
            return True
        return abs(self.bytes - other.bytes) <= max(self.slack, other.slack)


@dataclass(frozen=True)
class Answer:
    """Bytes of a file from `start` on, and the file as the server describes it now."""

    file: RemoteFile
    start: int
    chunks: Iterator[bytes]


def seconds(date: str) -> int:
    """A file's date as Unix time.

    >>> seconds("1970-01-02T00:00:01Z")
    86401
    """
    return int(datetime.strptime(date, DATE).replace(tzinfo=UTC).timestamp())


class BrokenOff(Exception):
    """A failure that may pass: try again, at the earliest after `pause_s`."""

    def __init__(self, reason: str, *, pause_s: float = 0.0, gained: int = 0) -> None:
        super().__init__(reason)
        self.pause_s = pause_s
        self.gained = gained


class NotThere(IngestError):
    """The server has no such file or page, or does not give it."""


class Stopped(Exception):
    """The transfer is being ended."""


class Patience:
    """Attempts and pauses of all connections together: what a server asks of one, all obey.

    Safe to use from several threads; `stop` ends pauses and open connections from any of them.
    """

    def __init__(self, tries: int) -> None:
        self._tries = tries
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._open: dict[int, Callable[[], Any]] = {}

    def insist(self, what: str, attempt: Callable[[], T], *, tries: int | None = None) -> T:
        """What `attempt` returns, at last; IngestError, one line, once `tries` broke off in a row.

        Attempts that brought much before they broke off do not count.
        """
        failed = 0
        while True:
            self._wait(what)
            try:
                return attempt()
            except BrokenOff as error:
                self.check()
                self._hold(error.pause_s)
                failed = 1 if error.gained >= GAIN_BYTES else failed + 1
                if failed >= (tries or self._tries):
                    raise IngestError(
                        f"{what}: {error}; tried {failed} times; run the same command again later: "
                        "what came is kept"
                    ) from error
                pause_s = min(MAX_PAUSE_S, FIRST_PAUSE_S * 2 ** (failed - 1))
                if not error.pause_s and self._stop.wait(pause_s):
                    raise Stopped from error

    def check(self) -> None:
        """Stopped, if `stop` was called."""
        if self._stop.is_set():
            raise Stopped

    @contextmanager
    def interruptible(self, shut: Callable[[], Any]) -> Iterator[None]:
        """`stop` calls `shut`, which ends what the block waits for."""
        with self._lock:
            self._open[id(shut)] = shut
        try:
            self.check()
            yield
        finally:
            with self._lock:
                del self._open[id(shut)]

    def stop(self) -> None:
        """End all pauses and connections, for good."""
        self._stop.set()
        with self._lock:
            waiting = list(self._open.values())
        for shut in waiting:
            shut()

    def _hold(self, pause_s: float) -> None:
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + pause_s)

    def _wait(self, what: str) -> None:
        self.check()
        while (left := self._not_before - time.monotonic()) > 0:
            if left > MAX_ASKED_S:
                raise IngestError(
                    f"{what}: the server asks for a pause of {left:.0f} s; run the same command "
                    "again then: what came is kept"
                )
            if self._stop.wait(left):
                raise Stopped
