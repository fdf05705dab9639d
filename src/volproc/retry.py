"""Retries of what a disk, a network or a server failed at for the moment.

Seventeen tries with pauses of 0.05 s, each 1.4 times the one before, up to 3 s: 19 s in all. Each
is randomly shortened or lengthened by up to a half, so that a thousand workers do not come back at
the same moment.
"""

from __future__ import annotations

import asyncio
import io
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

from volproc.faults import is_transient, notes_of

PAUSES_S = tuple(min(3.0, 0.05 * 1.4**n) for n in range(16))
"""Between the tries of a read or write: many short ones, as most faults are over at once."""
TRIED = "tried"

sleep = time.sleep
sleep_async = asyncio.sleep
_jitter = random.Random()  # its own: what training draws at random must not depend on retries

P = ParamSpec("P")
T = TypeVar("T")


class Patience:
    """The tries of one operation: how many there were, and how long the pauses between them."""

    def __init__(self, pauses: Sequence[float] = PAUSES_S) -> None:
        self._left = list(pauses)
        self.tries = 1
        self.waited_s = 0.0

    def pause(self) -> float | None:
        """Seconds to wait before the next try; None if there is none left."""
        if not self._left:
            return None
        seconds = self._left.pop(0) * _jitter.uniform(0.5, 1.5)
        self.tries += 1
        self.waited_s += seconds
        return seconds

    def pause_after(self, error: Exception) -> float:
        """The same; raises `error` if it is not transient or was tried often enough."""
        if not is_transient(error) or any(note.startswith(TRIED) for note in notes_of(error)):
            raise error
        seconds = self.pause()
        if seconds is None:
            error.add_note(str(self))
            raise error
        return seconds

    def __str__(self) -> str:
        return f"{TRIED} {self.tries} times, with pauses of {self.waited_s:.2g} s in all"


def patiently(call: Callable[[], T]) -> T:
    """What `call` returns; it is retried while its error is transient, up to 17 tries."""
    patience = Patience()
    while True:
        try:
            return call()
        except Exception as error:
            seconds = patience.pause_after(error)
        sleep(seconds)


async def patiently_async(call: Callable[[], Awaitable[T]]) -> T:
    """The same for a coroutine."""
    patience = Patience()
    while True:
        try:
            return await call()
        except Exception as error:
            seconds = patience.pause_after(error)
        await sleep_async(seconds)


def patient(function: Callable[P, T]) -> Callable[P, T]:
    """`function` with retries of transient errors: called twice it must do the same."""

    @wraps(function)
    def again(*given: P.args, **more: P.kwargs) -> T:
        return patiently(partial(function, *given, **more))

    return again


class PatientFile(io.RawIOBase):
    """A file for reading or writing, each call of which is retried at the same position."""

    def __init__(self, open_file: Callable[P, Any], *given: P.args, **more: P.kwargs) -> None:
        self._file = patiently(partial(open_file, *given, **more))

    def readable(self) -> bool:
        """Whether it was opened for reading."""
        return bool(self._file.readable())

    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return bool(self._file.writable())

    def seekable(self) -> bool:
        """Whether it can be read from any place."""
        return bool(self._file.seekable())

    def readinto(self, into: Any) -> int:
        """How many bytes were read into a buffer."""
        return int(self._here(lambda: self._file.readinto(into)))

    def write(self, content: Any) -> int:
        """How many bytes were written: all of them."""
        self._here(lambda: self._write(memoryview(content).cast("B")))
        return memoryview(content).nbytes

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """The new place in the file."""
        return int(patiently(lambda: self._file.seek(offset, whence)))

    def tell(self) -> int:
        """The place in the file."""
        return int(self._file.tell())

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            super().close()
            self._file.close()

    def _write(self, left: memoryview) -> None:
        while left:  # an unbuffered file may write only a part
            left = left[self._file.write(left) :]
        self._file.flush()

    def _here(self, call: Callable[[], T]) -> T:
        place = self.tell()

        def again() -> T:
            self._file.seek(place)
            return call()

        return patiently(again)
