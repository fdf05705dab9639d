"""Tries and pauses, shared by all connections: what a server requests of one of them, all obey.

volproc's own, since no library that is there resumes with If-Range, obeys Retry-After across
connections and ends an open transfer from another thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from volproc.errors import IngestError

FIRST_PAUSE_S = 1.0
"""After the first failure; twice as long after each further one."""
MAX_PAUSE_S = 60.0
"""Pauses grow up to this."""
MAX_RETRY_AFTER_S = 600.0
"""The longest pause requested by a server (Retry-After) that is waited for."""
GAIN_BYTES = 8 * 2**20
"""A try that downloaded this much did not fail in vain: tries are counted from 1 again."""

T = TypeVar("T")


class ConnectionBroken(Exception):
    """A failure that may pass: try again, at the earliest after `pause_s`."""

    def __init__(self, reason: str, *, pause_s: float = 0.0, gained: int = 0) -> None:
        super().__init__(reason)
        self.pause_s = pause_s
        self.gained = gained


class NotFound(IngestError):
    """The server has no such file or page, or does not give it."""


class Stopped(Exception):
    """The transfer is being ended."""


class Retries:
    """Tries again what broke off; safe to use from several threads.

    `stop` ends pauses and open connections from any of them.
    """

    def __init__(self, tries: int) -> None:
        self._tries = tries
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._open: dict[int, Callable[[], Any]] = {}

    def run(self, what: str, attempt: Callable[[], T], *, tries: int | None = None) -> T:
        """What `attempt` returns, at last; IngestError, one line, once `tries` broke off in a row.

        Tries that downloaded much before they broke off do not count.
        """
        failed = 0
        while True:
            self._wait(what)
            try:
                return attempt()
            except ConnectionBroken as error:
                self.check()
                with self._lock:
                    earliest = time.monotonic() + error.pause_s
                    self._not_before = max(self._not_before, earliest)
                failed = 1 if error.gained >= GAIN_BYTES else failed + 1
                if failed >= (tries or self._tries):
                    raise IngestError(
                        f"{what}: {error}; tried {failed} times; run the same command again later: "
                        "what has been downloaded is kept"
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

    def _wait(self, what: str) -> None:
        self.check()
        while (left := self._not_before - time.monotonic()) > 0:
            if left > MAX_RETRY_AFTER_S:
                raise IngestError(
                    f"{what}: the server asks for a pause of {left:.0f} s; run the same command "
                    "again then: what has been downloaded is kept"
                )
            if self._stop.wait(left):
                raise Stopped
